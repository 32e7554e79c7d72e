// A worker's script: it answers messages and exports nothing.
export {};
