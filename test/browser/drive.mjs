// A person at the dashboard, by playwright-core. Standard input brings a line of JSON with the plan, and an answer to each thing
// that is asked for on standard output. What goes wrong ends it with status 1 and a screenshot.

import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { actions } from './actions.mjs';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const hear = async () => JSON.parse((await lines.next()).value);
const say = (text) => console.log(JSON.stringify({ say: text }));
async function ask(what, more = {}) {
  console.log(JSON.stringify({ ask: what, ...more }));
  const answer = await hear();
  if (answer.error) throw new Error(`${what}: ${answer.error}`);
  return answer;
}

const plan = await hear();
const origin = new URL(plan.url).origin;
const faults = []; // of the page: any is a failure
const patience = 20_000;
const phone = { width: 360, height: 740 };
const wall = { width: 1920, height: 1080 };
const desktop = { width: 1440, height: 1000 };

async function browser(name, more = {}) {
  const context = await chromium.launchPersistentContext(path.join(plan.profile, name), {
    executablePath: plan.chromium,
    chromiumSandbox: process.getuid() !== 0,
    args: [`--ignore-certificate-errors-spki-list=${plan.spki}`],
    viewport: desktop,
    colorScheme: 'light',
    ...more,
  });
  await context.exposeBinding('reportViolation', (_, text) => void faults.push(`policy: ${text}`));
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', (e) => window.reportViolation(`${e.violatedDirective} ${e.blockedURI} ${e.sourceFile}:${e.lineNumber}`));
  });
  const page = context.pages()[0] ?? (await context.newPage());
  page.setDefaultTimeout(patience);
  page.on('pageerror', (error) => faults.push(`page: ${error.stack}`));
  page.on('console', (m) => {
    // That the host is away, or says no, is what some steps are about.
    if (['error', 'warning'].includes(m.type()) && !m.text().startsWith('Failed to load resource')) faults.push(`console: ${m.text()}`);
  });
  page.on('request', (r) => {
    if (new URL(r.url()).origin !== origin) faults.push(`a request left for ${r.url()}`);
    if (/ntptsd[s1]?_[\w-]{20}/.test(r.url())) faults.push('a token stands in a URL');
  });
  return { context, page };
}

let current;
const shot = (name, options = {}) => current.screenshot({ path: path.join(plan.screenshots, `${plan.name}-${name}.png`), fullPage: true, ...options });
const state = (word) => current.waitForSelector(`[data-link="${word}"]`);
const shownAt = () => current.getAttribute('#content', 'data-at');

/** updates waits until a newer sample is shown. */
async function updates() {
  await current.waitForSelector('#content[data-at]');
  const before = await shownAt();
  await current.waitForFunction((was) => document.getElementById('content')?.dataset.at > was, before);
}

async function formShown(problem) {
  await current.waitForSelector('input[type=password]');
  if (problem) await current.waitForFunction((text) => document.querySelector('[role=alert]')?.textContent.includes(text), problem);
}

/** follow opens a link as a person pastes it: into the same tab. */
async function follow(role = 'operator') {
  const { token } = await ask('link', { role });
  await current.goto(`${plan.url}#token=${token}`);
  await state('live');
  return token;
}

async function fits(what) {
  const wide = await current.evaluate(() => ({
    have: document.documentElement.clientWidth,
    need: document.documentElement.scrollWidth,
    who: [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1
      && !e.closest('.hidden') && !e.closest('.uplot')).slice(0, 5).map((e) => `${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`),
  }));
  assert.ok(wide.need <= wide.have, `${what}: the page is ${wide.need} wide and has ${wide.have}: ${wide.who.join('; ')}`);
  assert.deepEqual(wide.who, [], `${what}: this is cut off`);
}

/** focused tells what has the focus, and whether that can be seen. */
const focused = () => current.evaluate(() => {
  const e = document.activeElement;
  const s = getComputedStyle(e);
  return { name: e.getAttribute('aria-label') ?? e.textContent.trim().slice(0, 40), tag: e.tagName, visible: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0,
    onScreen: e.getBoundingClientRect().bottom > 0 };
});

const steps = {
  'nobody sees more than a log-in form': async () => {
    await current.goto(plan.url);
    await formShown();
    assert.equal(await current.locator('section').count(), 0);
    await shot('login');
  },
  'a wrong token is refused in words': async () => {
    await current.fill('input[type=password]', 'ntptsd_' + 'A'.repeat(43));
    await current.keyboard.press('Enter');
    await formShown('does not count');
    await shot('refused');
  },
  'a link logs in, once, and leaves the address bar': async () => {
    const token = await follow();
    assert.equal(current.url(), plan.url);
    assert.ok(!(await current.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))).includes(token));
    await current.evaluate((t) => void (location.hash = `token=${t}`), token);
    await current.waitForFunction(() => location.hash === '');
  },
  'every section is there': async () => {
    await updates();
    for (const text of plan.sections) await current.getByText(text).first().waitFor();
  },
  'the view is live': async () => {
    await updates();
    await updates();
  },
  'a reload stays logged in': async () => {
    await current.reload();
    await state('live');
    await updates();
  },
  'light and dark': async () => {
    const ground = () => current.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    await shot('light');
    const light = await ground();
    await current.emulateMedia({ colorScheme: 'dark' });
    const dark = await ground();
    assert.notEqual(light, dark);
    await updates();
    await shot('dark');
    await current.setViewportSize(wall);
    await updates();
    await shot('wall', { fullPage: false });
    await current.setViewportSize(desktop);
    await current.emulateMedia({ colorScheme: 'light' });
    const toggle = current.getByRole('button', { name: /^Theme/ });
    await toggle.click();
    await toggle.click();
    assert.equal(await ground(), dark, 'the button wins over the system');
    await toggle.click();
    assert.equal(await ground(), light);
  },
  'the chart has ranges': async () => {
    for (const name of ['1 h', '6 h', '24 h']) {
      await current.getByRole('button', { name, exact: true }).click();
      assert.equal(await current.getByRole('button', { name, exact: true }).getAttribute('aria-pressed'), 'true');
    }
    const painted = await current.evaluate(() => {
      const canvas = document.querySelector('.uplot canvas');
      const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
      return pixels.some((v, i) => i % 4 === 3 && v > 0);
    });
    assert.ok(painted, 'the chart is empty');
  },
  'a phone needs no scrolling to the side': async () => {
    for (const width of [phone.width, 320, 768, 1100, wall.width]) {
      await current.setViewportSize({ width, height: phone.height });
      await current.waitForFunction((w) => (document.querySelector('.uplot')?.getBoundingClientRect().width ?? 0) < w, width);
      await fits(`${width} pixels`);
      if (width === phone.width) {
        await shot('phone');
        await shot('phone-top', { fullPage: false });
      }
    }
    await current.setViewportSize(phone);
    await current.emulateMedia({ colorScheme: 'dark' });
    await updates();
    await shot('phone-dark');
    await current.emulateMedia({ colorScheme: 'light' });
    await current.setViewportSize(desktop);
  },
  'everything can be reached without a mouse': async () => {
    await current.reload();
    await state('live');
    await updates();
    await current.keyboard.press('Tab');
    assert.match((await focused()).name, /^Skip to/);
    assert.ok((await focused()).onScreen, 'the skip link is shown when it has the focus');
    await current.keyboard.press('Enter');
    assert.equal(await current.evaluate(() => document.activeElement.id), 'content');
    await current.keyboard.press('Shift+Tab');
    const want = await current.evaluate(() => [...document.querySelectorAll('button:not(:disabled), [tabindex="0"], a[href], input')].map((e) => e.getAttribute('aria-label') ?? e.textContent.trim().slice(0, 40)));
    await current.evaluate(() => document.activeElement.blur());
    await current.reload();
    await state('live');
    await updates();
    const seen = new Set();
    for (let i = 0; i < want.length + 5; i++) {
      await current.keyboard.press('Tab');
      const f = await focused();
      if (f.tag === 'BODY') break;
      assert.ok(f.visible, `nobody sees that ${f.name} has the focus`);
      seen.add(f.name);
    }
    assert.deepEqual([...new Set(want)].filter((name) => !seen.has(name)), [], 'the Tab key does not come here');
  },
  'the keyboard works the theme and the chart': async () => {
    await current.getByRole('button', { name: /^Theme/ }).focus();
    await current.keyboard.press('Enter');
    await current.keyboard.press('Space');
    await current.waitForSelector(':root[data-theme="dark"]');
    await current.keyboard.press('Enter');
    const chart = current.getByRole('slider');
    await chart.focus();
    await current.keyboard.press('Home');
    const oldest = await chart.getAttribute('aria-valuetext');
    await current.keyboard.press('End');
    assert.notEqual(await chart.getAttribute('aria-valuetext'), oldest);
    await current.keyboard.press('Escape');
  },
  'nothing moves for those who want that': async () => {
    await current.emulateMedia({ reducedMotion: 'reduce' });
    assert.equal(await current.evaluate(() => document.getAnimations().length), 0);
    await current.emulateMedia({ reducedMotion: null });
  },
  'a restart is seen, and ends a log-in by link': async () => {
    await ask('stop');
    await state('lost');
    await current.getByText('Connection lost, retrying').waitFor();
    await current.getByRole('heading', { name: /^Was (not )?fit to serve time$/ }).waitFor();
    assert.match(await current.title(), /^Lost/);
    await shot('lost');
    await ask('start');
    await formShown('has ended');
    await follow();
    await updates();
  },
  'log out': async () => {
    await current.getByRole('button', { name: 'Log out' }).click();
    await formShown();
    assert.equal(await current.evaluate(() => sessionStorage.length), 0);
    await current.reload();
    await formShown();
  },
  'a token that lasts comes back by itself after a restart': async () => {
    await current.fill('input[type=password]', plan.bearer);
    await current.keyboard.press('Enter');
    await state('live');
    await updates();
    const before = await shownAt();
    await ask('stop');
    await state('lost');
    await ask('start');
    await state('live');
    await updates();
    assert.ok((await shownAt()) > before);
    assert.equal(await current.locator('input[type=password]').count(), 0);
  },
};

const withCertificate = {
  'a client certificate needs no log-in, and none after a restart': async () => {
    await current.goto(plan.url);
    await state('live');
    await updates();
    assert.equal(await current.getByRole('button', { name: 'Log out' }).count(), 0, 'a certificate cannot be put away by the page');
    await ask('stop');
    await state('lost');
    await ask('start');
    await state('live');
    await updates();
  },
};

async function walk(steps, name, more) {
  const { context, page } = await browser(name, more);
  current = page;
  for (const [what, step] of Object.entries(steps)) {
    const begun = Date.now();
    try {
      await step();
      assert.deepEqual(faults, [], 'the page is at fault');
    } catch (error) {
      await shot('failed').catch(() => {});
      throw new Error(`${what}: ${error.message}`, { cause: error });
    }
    say(`${((Date.now() - begun) / 1000).toFixed(1)} s  ${what}`);
  }
  await context.close();
}

try {
  await walk(steps, 'stranger');
  await walk(actions({ page: () => current, plan, shot, follow, fits, updates, focused, sizes: { phone, wall, desktop } }), 'somebody');
  if (plan.certificate) {
    await walk(withCertificate, 'operator', { clientCertificates: [{ origin, certPath: plan.certificate, keyPath: plan.key }] });
  }
  process.exit(0);
} catch (error) {
  console.error(error.stack);
  process.exit(1);
}
