// For each text of the JSON list on standard input: null if it is a manifest, else why not.
import { parseManifest } from "../../runtime/js/src/manifest.js";

let input = "";
for await (const part of process.stdin.setEncoding("utf8")) input += part;
const answers = JSON.parse(input).map((text) => {
  try {
    parseManifest(text);
    return null;
  } catch (error) {
    if (error.name !== "BundleError") throw error;
    return error.message;
  }
});
process.stdout.write(JSON.stringify(answers));
