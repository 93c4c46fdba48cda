// Lints an OpenAPI document with Redocly's recommended rules, and compiles each pattern as JavaScript does.
// The rules come from Redocly's own engine: its command line would bring 150 packages more.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.cwd()}/`);
const { createConfig, lintFromString } = require('@redocly/openapi-core');

const source = readFileSync(process.argv[2], 'utf-8');
const config = await createConfig({ extends: ['recommended'] });
const problems = await lintFromString({ source, absoluteRef: process.argv[2], config });
for (const { severity, ruleId, message, location } of problems) {
  console.log(`${severity} ${ruleId}: ${message} (${location.map((where) => where.pointer).join(', ')})`);
}

function* patterns(value) {
  if (value === null || typeof value !== 'object') return;
  if (typeof value.pattern === 'string') yield value.pattern;
  for (const inner of Object.values(value)) yield* patterns(inner);
}
const found = new Set(patterns(JSON.parse(source)));
for (const pattern of found) {
  new RegExp(pattern);
  new RegExp(pattern, 'u');
}
console.log(`Redocly: ${problems.length} problems; ${found.size} patterns compile`);
process.exit(problems.length || !found.size ? 1 : 0);
