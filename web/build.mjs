// Bundles NiiVue into one file, with a notice of everything that is in it.
//
//   node build.mjs            writes the bundle and the notices
//   node build.mjs --check    fails if the files that are there differ from what would be written

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const vendor = join(here, "../src/scalemai/annotation/pages/assets/vendor");
const { version } = JSON.parse(readFileSync(join(here, "node_modules/@niivue/niivue/package.json")));

// Codecs of zarr files are 1.4 MB of WebAssembly that a NIfTI volume never needs.
const withoutZarrCodecs = {
  name: "without-zarr-codecs",
  setup(context) {
    context.onResolve({ filter: /^numcodecs(\/|$)/ }, ({ path }) => ({ path, namespace: "absent" }));
    context.onLoad({ filter: /.*/, namespace: "absent" }, () => ({ contents: "export default class {}" }));
  },
};

const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["entry.js"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  metafile: true,
  write: false,
  plugins: [withoutZarrCodecs],
});

const packages = new Set();
for (const path of Object.keys(metafile.inputs)) {
  const match = path.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
  if (match) packages.add(match[1]);
}

// NiiVue's package has no file with its licence; this is the text in its repository.
const NIIVUE = `BSD 2-Clause License

Copyright (c) 2021, niivue
All rights reserved.

Redistribution and use in source and binary forms, with or without
modification, are permitted provided that the following conditions are met:

1. Redistributions of source code must retain the above copyright notice, this
   list of conditions and the following disclaimer.

2. Redistributions in binary form must reproduce the above copyright notice,
   this list of conditions and the following disclaimer in the documentation
   and/or other materials provided with the distribution.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE
IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT HOLDER OR CONTRIBUTORS BE LIABLE
FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL
DAMAGES (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR
SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER
CAUSED AND ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY,
OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE
OF THIS SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
`;

function notice(name) {
  const folder = join(here, "node_modules", name);
  const about = JSON.parse(readFileSync(join(folder, "package.json")));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file ? readFileSync(join(folder, file), "utf8") : name === "@niivue/niivue" ? NIIVUE : null;
  if (text === null) throw new Error(`${name} has no text of its licence`);
  return `${name} ${about.version} (${about.license})\n\n${text.trim()}\n`;
}

const line = `\n${"-".repeat(72)}\n\n`;
const notices = `Third-party code in ${`niivue-${version}.js`}\n${line}${[...packages].sort().map(notice).join(line)}`;
const files = {
  [`niivue-${version}.js`]: outputFiles[0].contents,
  "THIRD_PARTY_NOTICES.txt": new TextEncoder().encode(notices),
};
const hash = (content) => createHash("sha256").update(content).digest("hex");
let differs = false;
for (const [name, content] of Object.entries(files)) {
  const path = join(vendor, name);
  if (process.argv.includes("--check")) {
    const there = existsSync(path) ? hash(readFileSync(path)) : "absent";
    if (there !== hash(content)) {
      console.error(`${name} is not what build.mjs makes of package-lock.json`);
      differs = true;
    }
  } else {
    writeFileSync(path, content);
  }
  console.log(`${hash(content)}  ${name}  ${content.length} bytes`);
}
process.exit(differs ? 1 : 0);
