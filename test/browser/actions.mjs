// A person who changes something, by the dashboard. drive.mjs tells how.

import assert from 'node:assert/strict';

const hostile = '<img src=x onerror=alert(1)><b>not markup</b>';

/** actions are the steps; p has the page of the moment, and what drive.mjs can do. */
export function actions({ page, plan, shot, follow, fits, updates, focused, sizes }) {
  const tab = (name) => page().getByRole('navigation', { name: 'Views' }).getByRole('button', { name });
  const button = (name) => page().getByRole('button', { name, exact: true });
  const field = (name) => page().getByLabel(name, { exact: true });
  const strip = () => page().getByRole('region', { name: 'Changes that wait to be confirmed' });
  const bans = async () => (await ask('/v1/bans')).bans.map((b) => b.network);
  const made = plan.name === 'made-up';

  /** ask reads something as whoever is logged in. */
  const ask = (path) => page().evaluate(async (path) => {
    const token = sessionStorage.getItem('ntptsd-session');
    const answer = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    return answer.json();
  }, path);

  async function enter(role) {
    await follow(role);
    await updates();
    await tab('Actions').click();
  }

  async function choose(name) {
    const all = button('All actions');
    if (await all.isVisible()) await all.click();
    await page().locator(`[data-command="${name}"]`).click();
    await page().getByRole('heading', { name, exact: true }).waitFor();
  }

  async function ban(network, more = async () => {}) {
    await choose('bans add');
    await field('network').fill(network);
    await more();
    await button('Preview').click();
    await button('Do it').waitFor();
  }

  return {
    'a monitor sees nothing to do': async () => {
      const told = page().waitForResponse((r) => r.url().endsWith('/v1/changes')); // which comes behind the list of commands
      await follow('monitor');
      await told;
      await updates();
      assert.equal(await tab('Actions').count(), 0);
      assert.equal(await page().getByRole('navigation').count(), 0);
    },
    'an operator sees what operators may': async () => {
      await enter('operator');
      await page().locator('[data-command="keys rotate"]').waitFor();
      assert.equal(await page().locator('[data-command="keys revoke"]').count(), 0);
      await field('Find an action').fill('ROTATE');
      assert.deepEqual(await page().locator('[data-command]').evaluateAll((all) => all.map((e) => e.dataset.command)), ['keys rotate']);
      await field('Find an action').fill('');
    },
    'what is refused is told in the words of ntptsd': async () => {
      await choose('bans add');
      await button('Preview').click();
      await page().getByText('name a network, as in 192.0.2.0/24').first().waitFor();
      assert.equal(await button('Do it').count(), 0);
    },
    'nothing is done before it was shown, and an edit takes that away': async () => {
      await ban('192.0.2.0/24');
      assert.deepEqual(await bans(), []);
      await page().getByText('What would be done').waitFor();
      await page().getByText('refuse 192.0.2.0/24 everywhere').first().waitFor();
      await field('network').fill('198.51.100.0/24');
      assert.equal(await button('Do it').count(), 0);
      assert.equal(await page().getByText('What would be done').count(), 0);
    },
    'what was shown is done, once, and what it says is text': async () => {
      await ban('192.0.2.0/24', () => field('reason').fill(hostile));
      await page().getByText(hostile).first().waitFor();
      await button('Do it').click();
      await page().getByRole('heading', { name: 'Done', exact: true }).waitFor();
      await page().getByText(/^Change \d+; the audit log ends with record \d+, [0-9a-f]{12}$/).waitFor();
      assert.deepEqual(await bans(), ['192.0.2.0/24']);
      assert.equal(await button('Do it').count(), 0);
      await page().getByText('The whole answer').first().click();
      await page().getByText('"refused"').first().waitFor();
      assert.equal(await page().locator('main img, main b').count(), 0);
    },
    'names that are known are proposed': async () => {
      await choose('bans remove');
      await page().waitForFunction(() => [...document.querySelectorAll('datalist option')].some((o) => o.value === '192.0.2.0/24'));
      await choose('keys rotate');
      await page().waitForFunction(() => [...document.querySelectorAll('datalist option')].some((o) => o.value === 'default'));
    },
    'a change waits to be confirmed, wherever one looks': async () => {
      await ban('198.51.100.0/24', async () => {
        await field('Undo it unless I confirm it within').check();
        await field('How long').selectOption('60');
      });
      await page().getByText('It undoes itself after 1 min unless it is confirmed.').waitFor();
      await button('Do it').click();
      await strip().waitFor();
      await strip().getByText(/Undoes itself in \d+ s unless it is confirmed/).waitFor();
      await shot('waits');
      await tab('Overview').click();
      await page().getByRole('heading', { name: 'Events' }).waitFor();
      const left = () => strip().locator('.left').textContent();
      const before = await left();
      await page().waitForFunction((was) => document.querySelector('.left')?.textContent !== was, before);
      await strip().getByRole('button', { name: /^Confirm/ }).click();
      await strip().waitFor({ state: 'detached' });
      assert.deepEqual((await bans()).sort(), ['192.0.2.0/24', '198.51.100.0/24']);
      await tab('Actions').click();
      await page().getByRole('heading', { name: 'bans add' }).waitFor();
    },
    'and is undone at once': async () => {
      await ban('203.0.113.0/24', () => field('Undo it unless I confirm it within').check());
      await button('Do it').click();
      await strip().getByRole('button', { name: /^Undo/ }).click();
      await strip().waitFor({ state: 'detached' });
      assert.deepEqual((await bans()).sort(), ['192.0.2.0/24', '198.51.100.0/24']);
    },
    'a lost answer is asked for again, and done once': async () => {
      const keys = [];
      await page().route('**/v1/actions/bans-remove', async (route) => {
        const request = route.request();
        if (request.postDataJSON().dry_run) return route.continue();
        keys.push(request.headers()['idempotency-key']);
        if (keys.length > 1) return route.continue();
        await route.fetch(); // it arrives
        return route.abort(); // its answer does not
      });
      await choose('bans remove');
      await field('network').fill('198.51.100.0/24');
      await button('Preview').click();
      await button('Do it').click();
      await page().getByText('No answer came').waitFor();
      assert.deepEqual(await bans(), ['192.0.2.0/24']);
      await button('Ask again').click();
      await page().getByRole('heading', { name: 'Done, once, before' }).waitFor();
      assert.ok(keys.length === 2 && keys[0] === keys[1] && keys[0].length >= 20, keys.join());
      await page().unroute('**/v1/actions/bans-remove');
    },
    'the keyboard is enough, and the page fits everywhere': async () => {
      await field('Find an action').focus();
      for (let i = 0; ; i++) {
        assert.ok(i < 80, 'the Tab key does not come to bans remove');
        await page().keyboard.press('Tab');
        const f = await focused();
        assert.ok(f.visible, `nobody sees that ${f.name} has the focus`);
        if (f.name.startsWith('bans remove')) break;
      }
      await page().keyboard.press('Enter');
      await page().waitForFunction(() => document.activeElement.id === 'action');
      await page().keyboard.press('Tab');
      if ((await focused()).name === 'All actions') await page().keyboard.press('Tab');
      await page().keyboard.type('192.0.2.0/24');
      await page().keyboard.press('Escape'); // the proposals
      await page().keyboard.press('Enter');
      await button('Do it').waitFor();
      for (const width of [sizes.phone.width, 320, 768, 1100, sizes.wall.width]) {
        await page().setViewportSize({ width, height: sizes.phone.height });
        await fits(`actions at ${width} pixels`);
        if (width === sizes.phone.width) await shot('actions-phone');
      }
      await page().setViewportSize(sizes.desktop);
      for (let i = 0; (await focused()).name !== 'Do it'; i++) {
        assert.ok(i < 10, 'the Tab key does not come to the button');
        await page().keyboard.press('Tab');
      }
      await page().keyboard.press('Space');
      await page().getByRole('heading', { name: 'Done', exact: true }).waitFor();
      assert.deepEqual(await bans(), []);
      assert.notEqual((await focused()).tag, 'BODY', 'the keyboard is nowhere');
    },
    'what is told once is told once': async () => {
      await enter('admin');
      await choose('access token');
      await field('name').fill('grafana');
      await field('role').fill('monitor');
      await button('Preview').click();
      assert.equal(await page().locator('textarea').count(), 0);
      await button('Do it').click();
      const secret = page().locator('textarea');
      await secret.waitFor();
      const token = await secret.inputValue();
      assert.match(token, /^ntptsd_[\w-]{20}/); // base64url: a minus is no word character
      await page().getByText('The whole answer').first().click();
      assert.equal((await page().locator('body').innerText()).split(token).length - 1, 0, 'the token stands in the field alone');
      await button('Copy token').click();
      await page().getByText(/^Copied$|to copy$/).waitFor();
      assert.ok(!(await page().evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))).includes(token));
      await choose('keys rotate');
      await choose('access token');
      assert.equal(await secret.count(), 0);
    },
    'who may see the audit log sees it, as text': async () => {
      const log = page().getByRole('region', { name: 'Records of the audit log' });
      await log.getByText('access token').first().waitFor();
      await log.getByText(hostile).first().waitFor();
      const row = log.getByRole('row').filter({ hasText: 'bans add' }).filter({ hasText: 'not markup' }).filter({ hasText: 'done' }).first();
      assert.match(await row.innerText(), /refuse|banned/);
      assert.equal(await log.locator('img, b').count(), 0);
      await fits('the audit log');
    },
    'what cannot be taken back is typed first': async () => {
      if (made) {
        await choose('keys revoke');
        await field('ring').fill('default');
        await button('Preview').click();
        await page().getByText('This cannot be taken back').waitFor();
        assert.ok(await button('Do it').isDisabled());
        await field('This cannot be taken back. Type keys revoke to do it.').fill('keys revoke');
        assert.ok(await button('Do it').isEnabled());
        await shot('grave');
      }
    },
    'what is called twice is shown twice': async () => {
      if (made) {
        await choose('neighbour step');
        const go = async () => {
          await button('Do it').waitFor();
          await field('This cannot be taken back. Type neighbour step to do it.').fill('neighbour step');
          await button('Do it').click();
        };
        await button('Preview').click();
        await go();
        await page().getByText('The second one does it: step the clock by 0.2 s').waitFor();
        await button('Preview the second call').click();
        await go();
        await page().getByText('"done": true').first().waitFor({ state: 'attached' });
        assert.equal(await field('token').inputValue(), '');
      }
    },
    'a picture': async () => {
      if (made) {
        await choose('targets undrain');
        await field('target').fill('this-host');
        await field('Undo it unless I confirm it within').check();
        await button('Preview').click();
        await button('Do it').click();
        await strip().waitFor();
        await choose('targets drain');
        await field('target').fill('this-host');
        await button('Preview').click();
        await button('Do it').waitFor();
        await page().setViewportSize({ width: 1280, height: 900 });
        await page().evaluate(() => [document.scrollingElement, document.querySelector('.list')].forEach((e) => e.scrollTo(0, 0)));
        await shot('actions', { fullPage: false });
        await page().emulateMedia({ colorScheme: 'dark' });
        await shot('actions-dark', { fullPage: false });
        await page().emulateMedia({ colorScheme: 'light' });
        await strip().getByRole('button', { name: /^Undo/ }).click();
        await strip().waitFor({ state: 'detached' });
      }
    },
  };
}
