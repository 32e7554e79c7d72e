// Standard input: a JSON list of texts. The answer to each is null for a manifest, or the error.
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
