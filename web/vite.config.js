import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

// What the browsers must be able to do: light-dark() in CSS and AbortSignal.any are the newest of it, and all have had them since May 2024.
const target = ['chrome123', 'firefox124', 'safari17.5'];

export default defineConfig({
  root: 'src',
  cacheDir: '../node_modules/.vite',
  plugins: [svelte({
    configFile: false,
    // Tables say their roles in the markup, since on phones the style sheet takes their display away, and with it the roles.
    onwarn: (warning, tell) => warning.code === 'a11y_no_redundant_roles' || tell(warning),
  })],
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target,
    cssTarget: target,
    assetsInlineLimit: 0, // a data: address is not 'self'
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
  },
  // npm run dev: the page from its sources, the data from a running ntptsd.
  server: {
    proxy: { '/v1': { target: process.env.NTPTSD_URL ?? 'https://localhost:4461', secure: false, changeOrigin: true } },
  },
});
