// What a reader does is kept in this browser only, under prove-it/. What cannot be kept lasts as long as the page is open.
window.proveIt = (() => {
  const unkept = new Map(); // a value, or null for one that was removed
  const mine = key => 'prove-it/' + key;
  const stored = () => { try { return Object.keys(localStorage); } catch { return []; } };
  return { store: {
    get(key) {
      if (unkept.has(key)) return unkept.get(key);
      try { return localStorage.getItem(mine(key)); } catch { return null; }
    },
    set(key, value) { // true if it is kept
      try {
        if (value === null) localStorage.removeItem(mine(key));
        else localStorage.setItem(mine(key), value);
        unkept.delete(key);
        return true;
      } catch {
        unkept.set(key, value);
        return false;
      }
    },
    keys(start) {
      const kept = stored().filter(key => key.startsWith(mine(start))).map(key => key.slice(mine('').length));
      return [...new Set([...kept, ...unkept.keys()])].filter(key => key.startsWith(start) && this.get(key) !== null);
    },
    get unkept() { return unkept.size > 0; },
  } };
})();
