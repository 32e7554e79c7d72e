/** Where this code is running. */

export const IN_NODE = typeof process === "object" && Boolean(process?.versions?.node);

/** In the main thread of a page, which long work would freeze. */
export const IN_PAGE = !IN_NODE && typeof document === "object" && typeof Worker === "function";

/**
 * A built-in module of Node, such as "node:path". Bundlers do not see this as an import, so they
 * neither look for the module nor warn.
 */
export const builtin = (name) => process.getBuiltinModule(name);
