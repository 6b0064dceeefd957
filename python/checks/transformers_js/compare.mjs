// Asks transformers.js and Gemscope the same questions about the same images with the same model directory, and compares the texts.
//
//     cd python/checks/transformers_js && npm install --ignore-scripts && npm run check
//
// transformers.js puts "\n\n" on both sides of the image, which Gemscope imitates with --image-newlines. Greedy on both sides.
// GEMSCOPE names the command (default: the release build), MODEL another model directory.

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { AutoProcessor, Gemma4ForConditionalGeneration, RawImage, env } from "@huggingface/transformers";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
const gemscope = process.env.GEMSCOPE ?? join(root, "target/release/gemscope");
const model = resolve(process.env.MODEL ?? join(root, "fixtures/demo-model"));
const MAX_NEW_TOKENS = 200;

const QUESTIONS = [
  ["scene-01.png", "detect shape"],
  ["scene-02.png", "detect red circle and star"],
  ["scene-07.png", "Detect the red triangle in this image"],
  ["scene-09.png", "detect yellow square and green triangle"],
  ["scene-17.png", "detect shape"],
];

env.allowRemoteModels = false;
env.localModelPath = "/";
const processor = await AutoProcessor.from_pretrained(model);
const session = await Gemma4ForConditionalGeneration.from_pretrained(model, { dtype: "fp32", device: "cpu" });

async function theirs(file, question) {
  const messages = [{ role: "user", content: [{ type: "image" }, { type: "text", text: question }] }];
  const prompt = processor.apply_chat_template(messages, { add_generation_prompt: true, tokenize: false });
  const inputs = await processor(prompt, await RawImage.read(file), null, { add_special_tokens: false });
  const output = await session.generate({ ...inputs, max_new_tokens: MAX_NEW_TOKENS, do_sample: false });
  const answer = output.slice(null, [inputs.input_ids.dims.at(-1), null]);
  return processor.batch_decode(answer, { skip_special_tokens: true })[0];
}

function ours(file, question) {
  const work = mkdtempSync(join(tmpdir(), "gemscope-check-"));
  try {
    const images = join(work, "images");
    cpSync(file, join(images, "image.png"));
    const options = ["--model", model, "--prompt", question, "--image-newlines", "--max-new-tokens", String(MAX_NEW_TOKENS)];
    execFileSync(gemscope, ["detect", images, "--out", join(work, "run"), ...options], { stdio: ["ignore", "ignore", "inherit"] });
    return JSON.parse(readFileSync(join(work, "run", "journal.jsonl"), "utf8").trim().split("\n").at(-1)).answers[0].text;
  } finally {
    rmSync(work, { recursive: true });
  }
}

let different = 0;
for (const [name, question] of QUESTIONS) {
  const file = join(root, "fixtures/shapes", name);
  const [a, b] = [await theirs(file, question), ours(file, question)];
  if (a.length < 5) throw new Error(`transformers.js said nothing about ${name}: ${JSON.stringify(a)}`);
  console.log(`${a === b ? "equal    " : "DIFFERENT"} ${name}  ${question}`);
  if (a !== b) {
    different += 1;
    console.log(`  transformers.js: ${JSON.stringify(a)}\n  Gemscope:        ${JSON.stringify(b)}`);
  }
}
console.log(`${QUESTIONS.length - different} of ${QUESTIONS.length} answers equal`);
process.exit(different === 0 ? 0 : 1);
