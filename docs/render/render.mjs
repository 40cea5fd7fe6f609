// Pictures of the messages in ../slack-messages.md, by a renderer of Block Kit that others maintain.
//
//   npm install --no-package-lock && node render.mjs
//
// Needs a Chromium: /usr/bin/chromium, or what CHROMIUM names. It loads nothing from the network.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const docs = join(here, "..");
const require = createRequire(import.meta.url);
// The package's ES module imports CommonJS ones by names that Node does not find; this build works.
const React = require("react");
const { renderToStaticMarkup } = require("react-dom/server");
const { Message } = require("slack-blocks-to-jsx");

const style = readFileSync(require.resolve("slack-blocks-to-jsx/dist/style.css"), "utf8");
const page = readFileSync(join(docs, "slack-messages.md"), "utf8");
const parts = page.matchAll(/\]\((images\/[a-z-]+\.png)\)[\s\S]*?```json\n([\s\S]*?)\n```/g);

// The moment of the screens, so that their dates read as they did then.
const NOW = "2026-11-24T09:30:00Z";
class Then extends Date {
  constructor(...given) {
    super(...(given.length ? given : [NOW]));
  }
}
globalThis.Date = Then;
process.env.TZ = "UTC";

const logo =
  "data:image/svg+xml," +
  encodeURIComponent(
    '<svg xmlns="http://www.w3.org/2000/svg" width="36" height="36"><rect width="36" height="36" ' +
      'rx="6" fill="#3b5b92"/><path d="M8 25h20M11 21l7-10 7 10z" stroke="#fff" fill="none"/></svg>',
  );

const frame = "#it { padding: 8px; width: 624px; } body { margin: 0; }";

// To Slack `verbatim` means that it looks for no URLs and mentions by itself, and it formats the
// text all the same; this renderer would leave it plain.
const formatted = (key, value) => (key === "verbatim" ? undefined : value);

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const tab = await browser.newPage({ viewport: { width: 720, height: 400 } });
await tab.route(/^https?:/, (route) => route.abort());
for (const [, picture, json] of parts) {
  const message = React.createElement(Message, {
    blocks: JSON.parse(json, formatted).blocks,
    name: "Slipway",
    logo,
    time: new Date(NOW),
    data: { users: [{ id: "U0ANNA", name: "anna" }] },
  });
  const body = renderToStaticMarkup(message);
  await tab.setContent(`<meta charset="utf-8"><style>${style} ${frame}</style><div id="it">${body}</div>`);
  await tab.locator("#it").screenshot({ path: join(docs, picture) });
  console.log(picture);
}
await browser.close();
