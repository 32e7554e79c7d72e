/** Why a browser could not load a script. The browser's own error does not say this. */
import { reasonOf } from "./errors.js";

/** What is wrong with the script at `url`: its status, or the MIME type that it is served as. */
export async function faultOf(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    return reasonOf(error);
  }
  if (!response.ok) return `the server answers ${response.status}`;
  const type = response.headers.get("content-type")?.split(";")[0].trim() || "no MIME type";
  return /^(text|application)\/(x-)?(java|ecma)script$/i.test(type)
    ? "it, or a script that it imports, fails to start"
    : `it is served as ${type}, expected text/javascript`;
}
