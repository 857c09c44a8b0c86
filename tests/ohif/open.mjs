// Serves OHIF, opens one study in it, and fails unless frames came and a picture is seen.
//   usage: node open.mjs WEB_PORT VIEWER_PORT STUDY_UID SCREENSHOT
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { extname, join, normalize, resolve } from 'node:path';

const [web, viewer, study, shot] = process.argv.slice(2);
const folder = resolve('target/ohif');
const { chromium } = createRequire(join(folder, 'package.json'))('playwright-core');
const root = `http://127.0.0.1:${web}/dicom-web`;
const config = {
  routerBasename: '/', extensions: [], modes: [], showStudyList: true,
  showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false,
  maxNumberOfWebWorkers: 2, investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'dicomweb',
  dataSources: [{
    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'dicomweb',
    configuration: {
      friendlyName: 'Xiangyi', name: 'xiangyi', wadoUriRoot: `http://127.0.0.1:${web}/wado`,
      qidoRoot: root, wadoRoot: root, qidoSupportsIncludeField: true, imageRendering: 'wadors',
      thumbnailRendering: 'wadors', enableStudyLazyLoad: true, supportsFuzzyMatching: true,
      supportsWildcard: true, bulkDataURI: { enabled: true, relativeResolution: 'studies' },
    },
  }],
};
const kinds = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html',
  '.wasm': 'application/wasm', '.json': 'application/json', '.svg': 'image/svg+xml' };
const dist = join(folder, 'package/dist');
const server = createServer((request, response) => {
  const path = normalize(new URL(request.url, 'http://x').pathname);
  const headers = { 'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Embedder-Policy': 'credentialless' };
  if (path === '/app-config.js') {
    response.writeHead(200, { ...headers, 'Content-Type': kinds['.js'] });
    return response.end(`window.config = ${JSON.stringify(config)};`);
  }
  let file = join(dist, path);
  if (!existsSync(file) || !statSync(file).isFile()) file = join(dist, 'index.html');
  const kind = kinds[extname(file)] ?? 'application/octet-stream';
  response.writeHead(200, { ...headers, 'Content-Type': kind });
  return response.end(readFileSync(file));
}).listen(Number(viewer), '127.0.0.1');

const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: [
  '--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader',
  '--ignore-gpu-blocklist'] });
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
const failed = [];
let frames = 0;
page.on('response', (answer) => {
  if (!answer.url().startsWith(root)) return;
  if (answer.status() >= 400) failed.push(`${answer.status()} ${answer.url()}`);
  if (answer.url().includes('/frames/')) frames += 1;
});
await page.goto(`http://127.0.0.1:${viewer}/viewer?StudyInstanceUIDs=${study}`);
const canvas = page.locator('canvas').first();
await canvas.waitFor({ timeout: 60_000 });
const skip = page.getByText('Skip all');
await skip.first().click({ timeout: 30_000 }).catch(() => {});
// What the picture is made of: a viewport without one is of one colour.
let lit = 0;
for (let turn = 0; turn < 60 && lit < 0.02; turn += 1) {
  await page.waitForTimeout(500);
  const png = await page.locator('[data-viewport-uid], .viewport-element').first().screenshot();
  lit = await page.evaluate(async (bytes) => {
    const picture = await createImageBitmap(new Blob([new Uint8Array(bytes)]));
    const sheet = new OffscreenCanvas(picture.width, picture.height);
    const context = sheet.getContext('2d');
    context.drawImage(picture, 0, 0);
    const { data } = context.getImageData(0, 0, picture.width, picture.height);
    let grey = 0;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at] > 60 && Math.abs(data[at] - data[at + 2]) < 4) grey += 1;
    }
    return (4 * grey) / data.length;
  }, [...png]);
}
await page.screenshot({ path: shot });
await browser.close();
server.close();
console.log(`${frames} frames, ${(100 * lit).toFixed(1)} % of the viewport is picture, ${shot}`);
if (failed.length > 0 || frames === 0 || lit < 0.02) {
  console.error(failed.join('\n') || 'no picture');
  process.exit(1);
}
