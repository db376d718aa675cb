// Where the keys of a ring lie in time, as percent of a line that has all of them.

/**
 * timeline places keys, oldest first; times are in milliseconds. A key whose end is not known goes to the end of the line.
 */
export function timeline(keys, nextRotation, now) {
  const known = (t) => t !== null;
  const starts = keys.map((k) => k.mintFrom ?? k.created).filter(known);
  const ends = keys.map((k) => k.acceptUntil).filter(known);
  const start = Math.min(now, ...starts);
  const open = ends.length < keys.length;
  let end = Math.max(now, nextRotation ?? now, ...ends, ...starts);
  if (end - start < 1000) end = start + 1000;
  if (open) end += (end - start) / 10;
  const percent = (t) => Math.round(Math.min(100, Math.max(0, ((t - start) / (end - start)) * 100)) * 100) / 100;
  const bars = keys.map((key, i) => {
    const mintFrom = key.mintFrom ?? key.created ?? start;
    const to = key.acceptUntil ?? end;
    const next = keys[i + 1]?.mintFrom;
    const mintTo = Math.min(to, next ?? (key.state === 'current' ? (nextRotation ?? to) : to));
    // What is published early opens cookies before it mints.
    return { key, from: percent(Math.min(key.created ?? mintFrom, mintFrom)), to: percent(to), mintFrom: percent(mintFrom),
      mintTo: percent(Math.max(mintFrom, mintTo)) };
  });
  return { start, end, open, now: percent(now), next: nextRotation === null ? null : percent(nextRotation), bars };
}
