// Light, dark, or as the system says. A preference is all that outlives the tab.

const key = 'ntptsd-theme';
const choices = ['auto', 'light', 'dark'];

function stored() {
  try {
    const t = localStorage.getItem(key);
    return choices.includes(t) ? t : 'auto';
  } catch {
    return 'auto'; // storage is switched off
  }
}

const system = matchMedia('(prefers-color-scheme: dark)');

class Theme {
  choice = $state(stored());
  #system = $state(system.matches);
  dark = $derived(this.choice === 'dark' || (this.choice === 'auto' && this.#system));

  constructor() {
    system.addEventListener('change', (e) => {
      this.#system = e.matches;
    });
  }

  next() {
    this.choice = choices[(choices.indexOf(this.choice) + 1) % choices.length];
    try {
      localStorage.setItem(key, this.choice);
    } catch {
      // it lasts as long as the page, then
    }
    applyTheme();
  }
}

export const theme = new Theme();

/** applyTheme tells the style sheet. */
export function applyTheme() {
  const root = document.documentElement;
  if (theme.choice === 'auto') root.removeAttribute('data-theme');
  else root.dataset.theme = theme.choice;
}
