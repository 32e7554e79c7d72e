// Standard input is {manifest, graph, files}, where `files` holds ONNX files in base64. The answer
// to each is null if it may be opened as that graph of that manifest, else the error.
import { parseManifest } from "../../runtime/js/src/manifest.js";
import { checkStructure } from "../../runtime/js/src/onnx-structure.js";

let input = "";
for await (const part of process.stdin.setEncoding("utf8")) input += part;
const { manifest: text, graph, files } = JSON.parse(input);
const manifest = parseManifest(text);
const answers = files.map((content) => {
  try {
    checkStructure(new Uint8Array(Buffer.from(content, "base64")), manifest, graph);
    return null;
  } catch (error) {
    if (error.name !== "BundleError") throw error;
    return error.message;
  }
});
process.stdout.write(JSON.stringify(answers));
