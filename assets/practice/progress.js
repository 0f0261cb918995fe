// What a reader knows of each card, and when it is due again: FSRS, with days as its smallest step.
// Kept are the reviews themselves. When a card is due follows from them, so that what two tabs or a file know can be joined.
//   cards/<id>           {"due": ms, "reviews": [[ms, grade], …]}, grade 1 to 4: again, hard, good, easy
//   quiz/<id>            [the option that was picked first, ms]
//   interview/<begun>    see interview.js
(() => {
  const { store } = window.proveIt;
  const here = document.currentScript.src;
  const DAY = 86_400_000;
  const NEW = 7; // cards a day: with the plan of the home page, no card comes before its chapter

  let library = null; // fetched when something is reviewed
  const fsrs = () => library ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement('script'), {
      src: new URL('fsrs.js', here), onload: () => resolve(FSRS),
      onerror: () => { library = null; reject(new Error('A part of this page could not be fetched: check the connection and try again.')); },
    });
    document.head.append(script);
  });

  /** When a card with these reviews is due, in ms; and, with a time, when it would be after each grade given then. */
  function schedule({ fsrs, createEmptyCard }, reviews, now) {
    const algorithm = fsrs({ enable_short_term: false });
    let card = createEmptyCard(new Date(reviews[0]?.[0] ?? now));
    for (const [time, grade] of reviews) card = algorithm.next(card, new Date(time), grade).card;
    return { due: +card.due, next: now && [1, 2, 3, 4].map(grade => +algorithm.next(card, new Date(now), grade).card.due) };
  }

  const parse = (key, fallback) => { try { return JSON.parse(store.get(key)) ?? fallback; } catch { return fallback; } };
  const isReview = review => Array.isArray(review) && Number.isFinite(review[0]) && [1, 2, 3, 4].includes(review[1]);
  function card(id) { // what is damaged counts for nothing
    const found = parse(`cards/${id}`, null), reviews = Array.isArray(found?.reviews) ? found.reviews.filter(isReview) : [];
    return { due: !reviews.length ? Infinity : Number.isFinite(found.due) ? found.due : 0, reviews };
  }
  const joined = (...logs) => [...new Map(logs.flat().map(review => [review[0], review])).values()].sort((a, b) => a[0] - b[0]);

  async function keepReviews(id, reviews) {
    const library = await fsrs();
    reviews = joined(card(id).reviews, reviews); // what another tab has kept in the meantime
    return store.set(`cards/${id}`, JSON.stringify({ due: schedule(library, reviews).due, reviews }));
  }

  const tomorrow = now => new Date(now).setHours(24, 0, 0, 0);
  const begun = ids => ids.filter(id => card(id).reviews[0]?.[0] >= tomorrow(Date.now()) - DAY).length;

  Object.assign(window.proveIt, { progress: {
    card, parse,
    /** Keep a review: 1 again, 2 hard, 3 good, 4 easy. False if the browser does not keep it. */
    review: (id, grade, now = Date.now()) => keepReviews(id, [[now, grade]]),
    /** When a card would be due after each of the four grades. */
    next: async (id, now = Date.now()) => schedule(await fsrs(), card(id).reviews, now).next,
    known: id => card(id).reviews.length > 0,
    due: (ids, now = Date.now()) => ids.filter(id => card(id).due < tomorrow(now)).sort((a, b) => card(a).due - card(b).due),
    /** How many cards were new today, in interviews and quizzes too. */
    begun,
    /** The new ones that are left for today, and so many more. */
    fresh: (ids, more = 0) => ids.filter(id => !card(id).reviews.length).slice(0, Math.max(0, NEW + more - begun(ids))),
    /** "tomorrow", "in 3 days", "on 4 March" */
    when(due, now = Date.now()) {
      const days = Math.round((tomorrow(due) - tomorrow(now)) / DAY);
      if (days <= 0) return 'today';
      if (days === 1) return 'tomorrow';
      return days < 14 ? `in ${days} days` : `on ${new Date(due).toLocaleDateString('en-GB', { day: 'numeric', month: 'long' })}`;
    },

    /** Everything that the book keeps in this browser, as the text of a file. */
    save: () => JSON.stringify({ book: 'Prove It', format: 1, kept: Object.fromEntries(store.keys('').sort().map(key => [key, store.get(key)])) }, null, 1),

    /**
     * Join what such a file holds with what is here. Reviews of both count; of anything else what is here stays.
     * Returns how much was new, and whether the browser keeps it. A file that is not one of ours changes nothing and raises an Error.
     */
    async join(text) {
      const kept = checked(text);
      await fsrs();
      let fresh = 0, safe = true;
      for (const [key, value] of Object.entries(kept)) {
        const before = store.get(key);
        if (key.startsWith('cards/')) safe = await keepReviews(key.slice(6), JSON.parse(value).reviews) && safe;
        else if (before === null) safe = store.set(key, value) && safe;
        fresh += store.get(key) !== before;
      }
      return { fresh, safe };
    },
  } });

  function checked(text) {
    let file;
    try { file = JSON.parse(text); } catch { }
    if (file?.book !== 'Prove It' || typeof file.kept !== 'object' || !file.kept) throw new Error('This is not a file that this book has saved, or it is damaged');
    if (file.format !== 1) throw new Error('This file was saved by a newer version of the book');
    for (let [key, value] of Object.entries(file.kept)) {
      let fine = typeof value === 'string';
      if (/^(cards|quiz|interview)\//.test(key)) try { value = JSON.parse(value); } catch { fine = false; }
      if (key.startsWith('cards/')) fine &&= Array.isArray(value?.reviews) && value.reviews.length > 0 && value.reviews.every(isReview);
      if (!fine) throw new Error(`This file is damaged (${key})`);
    }
    return file.kept;
  }

  // On the home page: what is due today.
  const link = document.getElementById('due');
  function showDue() {
    const { due, fresh, known } = window.proveIt.progress, ids = link.dataset.cards.split(' ');
    const today = [[due(ids).length, 'due'], [fresh(ids).length, 'new']].filter(([count]) => count).map(([count, what]) => `${count} ${what}`);
    if (ids.some(known)) link.textContent = today.length ? `Cards today: ${today.join(', ')}` : 'No card is due today';
  }
  if (link) {
    showDue();
    addEventListener('storage', showDue);
  }
})();
