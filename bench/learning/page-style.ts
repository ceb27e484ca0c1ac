/** How the reports look: plain, legible, in light and dark. */

/** Series: Okabe and Ito's colours, which the colour-blind tell apart; for the light page darkened where they are pale. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c1c1c; --quiet: #595959; --grid: #d9d9d9;
  --series-1: #0072b2; --series-2: #d55e00; --series-3: #008060; --series-4: #b0578d;
  --series-5: #a87400; --series-6: #2f8fc4; --series-7: #555; --series-8: #7d7500;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #161616; --ink: #e8e8e8; --quiet: #a8a8a8; --grid: #3c3c3c;
    --series-1: #4ba3e3; --series-2: #f08040; --series-3: #2fc29b; --series-4: #dd8fbd;
    --series-5: #e8a92c; --series-6: #8cc8ee; --series-7: #b8b8b8; --series-8: #e0d84c;
  }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; overflow-wrap: anywhere; }
figure { margin: 0; } figcaption, table + p { color: var(--quiet); } p, figcaption, dd { max-width: 46rem; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem 2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--grid); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
`;
