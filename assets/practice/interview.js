// The mock interview. What is shown follows from one record, which the page's address names: interview.html#<begun>.
//   interview/<begun, ISO>  {"questions": [{"chapter": its page, …, "points": [ids made], "traps": [ids], "followups": [{"id", …, "grade"}]}],
//                            "left": ms, when its page was left}
// Each question and follow-up has "began" ms, "answer", "seconds" once it is answered, "marked" ms once it is compared, "kept" once
// its cards know. The first that is not marked is the one that is asked.
(() => {
  const { store, progress, chapters, room: { element, html, button, count, shuffled, practising, backup, UNKEPT } } = window.proveIt;
  const room = document.getElementById('practice');
  const DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
  const AWAY = 60_000; // ms: a reload counts as time to think; who leaves for longer finds the clock as it was

  const inline = text => html(text.replace(/^<p>(.*)<\/p>$/s, '$1'));
  const choice = (type, name, value, content, properties) => // the whole line can be pressed
    element('label', {}, element('input', { type, name, value, ...properties }), element('span', {}, content));
  const fieldset = (legend, lines, className = '') => element('fieldset', { className }, element('legend', {}, legend), ...lines);
  const form = (act, text, ...content) => element('form', { onsubmit(event) { event.preventDefault(); act(event.target); } },
    ...content, element('p', {}, element('button', { className: 'practice-main' }, text)));
  const small = (...content) => element('p', { className: 'practice-where' }, ...content);
  const typed = text => element('p', { className: 'practice-typed' }, text);
  const sum = numbers => numbers.reduce((all, number) => all + number, 0);
  const clock = seconds => { const s = Math.max(0, Math.floor(seconds) || 0); return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, '0')}`; };
  const date = begun => new Date(begun).toLocaleString('en-GB', { day: 'numeric', month: 'long', hour: 'numeric', minute: '2-digit' });

  // --- the records ---------------------------------------------------------------------------------------------------

  const soundAsk = ask => typeof ask?.answer === 'string' && [ask.began, ask.seconds, ask.marked].every(n => n === undefined || Number.isFinite(n));
  const sound = record => Array.isArray(record?.questions) && record.questions.every(question => soundAsk(question)
    && [question.points, question.traps, question.followups].every(Array.isArray) && question.followups.every(soundAsk));
  function load(begun) { // null if there is none, or a damaged one
    const record = DATE.test(begun) ? progress.parse(`interview/${begun}`, null) : null;
    return sound(record) ? record : null;
  }
  const interviews = () => store.keys('interview/').map(key => key.slice(10)).filter(load).sort().reverse(); // newest first

  /** All that an interview asks, in order, of what the book still has. */
  const steps = record => record.questions.flatMap((ask, i) => {
    const chapter = chapters.find(({ page }) => page === ask.chapter), where = `Question ${i + 1} of ${record.questions.length}`;
    const cards = ask.followups.map(ask => ({ ask, card: chapter?.cards.find(({ id }) => id === ask.id) })).filter(({ card }) => card);
    return chapter ? [{ ask, chapter, where, title: chapter.title }, ...cards.map(({ ask, card }, j) =>
      ({ ask, chapter, card, where: `${where}, follow-up ${j + 1} of ${cards.length}`, get title() { return inline(card.front); } }))] : [];
  });
  const now = record => steps(record).findIndex(({ ask }) => !ask.marked);

  /** Change a record as it is at this moment: another tab may have written it, too. */
  function change(begun, act) {
    const record = load(begun), before = record && JSON.stringify(record);
    if (!record) return;
    act(steps(record), record);
    const ask = steps(record)[now(record)]?.ask;
    if (ask) ask.began ??= Date.now();
    if (JSON.stringify(record) !== before) store.set(`interview/${begun}`, JSON.stringify(record));
  }

  const made = ({ ask, chapter }) => chapter.rubric.filter(({ id }) => ask.points.includes(id));
  const fallen = ({ ask, chapter }) => chapter.traps.filter(({ id }) => ask.traps.includes(id));
  const missed = step => step.card ? (step.ask.grade < 3 ? [step.card] : [])
    : [...step.chapter.rubric.filter(({ id }) => !step.ask.points.includes(id)), ...fallen(step)];
  const score = all => `${sum(all.map(step => made(step).length))} of ${count(sum(all.map(({ chapter }) => chapter.rubric.length)), 'point')}`;
  const questions = record => steps(record).filter(({ card }) => !card);

  /** Every time that a question was asked, newest first. */
  const asked = page => interviews().flatMap(begun => questions(load(begun)).filter(({ ask }) => ask.chapter === page && ask.began)
    .map(step => ({ ...step, begun })));
  function wentBadly({ page, rubric }) {
    const last = asked(page).find(({ ask }) => ask.marked);
    return last && (fallen(last).length > 0 || made(last).length <= rubric.length / 2);
  }

  const WHICH = { all: () => true, seen: ({ cards }) => cards.some(({ id }) => progress.known(id)), bad: wentBadly };

  /** Questions for an interview: those not asked for the longest time first. */
  function draw(which, number) {
    const pool = chapters.filter(chapter => WHICH[which]?.(chapter) ?? chapter.part === which);
    const last = new Map(pool.map(({ page }) => [page, asked(page)[0]?.begun ?? '']));
    const drawn = shuffled(pool).sort((a, b) => last.get(a.page).localeCompare(last.get(b.page))).slice(0, number);
    return drawn.map(({ page }) => ({ chapter: page, answer: '', points: [], traps: [], followups: [] }));
  }

  /** Two follow-ups: about what was missed first, then those never asked or not known the last time. */
  function followups(step) {
    const sections = new Set(missed(step).flatMap(({ read }) => read.map(([href]) => href)).filter(href => href.includes('#')));
    const rank = ({ id, read }) => (read.some(([href]) => sections.has(href)) ? 0 : 2) + (progress.card(id).reviews.at(-1)?.[1] >= 3);
    return shuffled(step.chapter.cards.filter(({ kind }) => kind === 'follow-up')).sort((a, b) => rank(a) - rank(b)).slice(0, 2)
      .map(({ id }) => ({ id, answer: '' }));
  }

  /** Give the cards the reviews of all that is marked. A review is known by its time: to give it once more changes nothing. */
  async function teach() {
    try {
      for (const begun of interviews()) for (const [i, { ask, card, chapter }] of steps(load(begun) ?? { questions: [] }).entries()) {
        if (!ask.marked || ask.kept) continue;
        const grades = card ? [[card.id, ask.grade ?? 1]] : chapter.rubric.map(({ id }) => [id, ask.points.includes(id) ? 3 : 1]);
        for (const [id, grade] of grades) await progress.review(id, grade, ask.marked);
        change(begun, steps => steps[i].ask.kept = true);
      }
    } catch (error) {
      said.textContent = `${error.message} Your marks wait here until they become cards.`;
    }
  }

  // --- before an interview -------------------------------------------------------------------------------------------

  const removed = new Map(); // {begun: its record}, as long as the page is open

  function start() {
    const parts = [...new Set(chapters.map(({ part }) => part))], size = part => chapters.filter(chapter => chapter.part === part).length;
    const some = [['seen', 'Those whose cards you have begun', 'None so far.'],
      ['bad', 'Those that went badly the last time', 'None so far: a trap, or half of the points missed.']].map(([which, text, none]) => {
      const line = choice('radio', 'which', which, text), size = line.lastChild.appendChild(element('small'));
      return { line, update() {
        const number = chapters.filter(WHICH[which]).length;
        line.firstChild.disabled = !number;
        size.textContent = number ? count(number, 'question') : none;
      } };
    });
    const begin = form => {
      const chosen = new FormData(form), begun = new Date().toISOString();
      store.set(`interview/${begun}`, JSON.stringify({ questions: draw(chosen.get('which'), chosen.get('number')) }));
      location.hash = begun;
    };
    const list = element('ul', { className: 'practice-history' });
    const toggle = (begun, at) => { // remove it, or bring it back
      const value = removed.get(begun) ?? null;
      if (!removed.delete(begun)) removed.set(begun, store.get(`interview/${begun}`));
      store.set(`interview/${begun}`, value);
      follow();
      list.children[at].querySelector('button').focus();
    };
    const row = (begun, at) => {
      const record = load(begun), next = record && steps(record)[now(record)];
      const state = element('small', {}, !record ? 'Removed' : next ? `Not finished: ${next.where.toLowerCase()}` : score(questions(record)));
      return element('li', {}, element(record ? 'a' : 'span', { href: `#${begun}` }, date(begun), state),
        button(record ? 'Remove' : 'Undo', () => toggle(begun, at), { ariaLabel: `${record ? 'Remove' : 'Undo: bring back'} the interview of ${date(begun)}` }));
    };
    follow = () => {
      some.forEach(each => each.update());
      const all = new Set([...interviews(), ...removed.keys()]);
      list.replaceChildren(...all.size ? [...all].sort().reverse().map(row) : [element('li', {}, element('small', {}, 'None yet.'))]);
    };
    follow();
    return [form(begin, 'Start',
      fieldset('Which questions?', [choice('radio', 'which', 'all', `All ${chapters.length}`, { checked: true }),
        ...parts.map(part => choice('radio', 'which', part, `${part} (${size(part)})`)), ...some.map(({ line }) => line)]),
      fieldset('How many?', [...[1, 2, 3].map(n => choice('radio', 'number', n, n, { checked: n === 3 })),
        choice('radio', 'number', chapters.length, 'all')], 'practice-row')),
    element('h2', {}, 'Your interviews'), list, backup(() => { teach(); follow(); })];
  }

  // --- an interview --------------------------------------------------------------------------------------------------

  function question(at, { ask, where, title }) {
    let { began } = ask;
    const timer = element('span', { role: 'timer', ariaLabel: 'Your time' });
    const text = element('textarea', { rows: 8, value: ask.answer, placeholder: 'Type here, or answer aloud. Ctrl+Enter: answered', ariaLabel: 'Your answer' });
    const answered = form(() => {
      change(here, steps => steps[at].ask.seconds ??= Math.max(0, Math.floor((Date.now() - began) / 1000)));
      render();
    }, 'I have answered', text);
    text.oninput = () => change(here, steps => steps[at].ask.answer = text.value);
    text.addEventListener('keydown', event => event.key === 'Enter' && (event.ctrlKey || event.metaKey) && answered.requestSubmit());
    const tick = () => {
      timer.textContent = clock((Date.now() - began) / 1000);
      ticking = setTimeout(tick, 1000 - (Date.now() - began) % 1000);
    };
    tick();
    follow = ({ ask }) => {
      began = ask.began;
      if (text.value !== ask.answer) text.value = ask.answer;
    };
    return [small(`${where} `, timer), element('h2', {}, title), answered];
  }

  function compare(at, { ask, card, chapter, where, title }) {
    const lines = (name, points) => points.map(({ id, html: text }) => choice('checkbox', name, id, html(text)));
    const marks = card ? [fieldset('Did you know it?', [[3, 'I knew it'], [2, 'Partly'], [1, 'No']].map(([grade, text]) =>
      choice('radio', 'grade', grade, text, { required: true })))]
      : [fieldset('What did your answer mention?', lines('points', chapter.rubric)), fieldset('Did it fall into a trap?', lines('traps', chapter.traps))];
    const marked = form(() => {
      change(here, steps => {
        const step = steps[at];
        if (step.ask.marked) return; // in another tab
        step.ask.marked = Date.now();
        if (!card) step.ask.followups = followups(step);
      });
      render();
      teach().then(render);
    }, 'Go on', ...marks);
    marked.onchange = () => change(here, steps => {
      const chosen = new FormData(marked);
      Object.assign(steps[at].ask, card ? { grade: Number(chosen.get('grade')) } : { points: chosen.getAll('points'), traps: chosen.getAll('traps') });
    });
    follow = ({ ask }) => marked.querySelectorAll('input').forEach(box =>
      box.checked = card ? ask.grade === Number(box.value) : ask[box.name].includes(box.value));
    follow({ ask });
    return [small(`${where}: `, title), element('h2', {}, 'Compare'),
      element('p', {}, `You took ${clock(ask.seconds)}${card ? '' : '; the answer below is said in about 30 seconds'}.`),
      ...(ask.answer ? [element('h3', {}, 'What you wrote'), typed(ask.answer)] : []),
      element('h3', {}, card ? 'The answer' : 'The answer in 30 seconds'),
      element(card ? 'div' : 'blockquote', {}, html(card ? card.back : chapter.spoken)), marked];
  }

  // --- the result ----------------------------------------------------------------------------------------------------

  function result(record) {
    const all = steps(record), lines = questions(record).map(step => {
      const mine = all.filter(({ chapter }) => chapter === step.chapter), cards = mine.filter(({ card }) => card), words = mine.filter(({ ask }) => ask.answer);
      return element('li', {}, element('b', {}, step.title), element('small', {}, [score([step]), count(fallen(step).length, 'trap'),
        `${cards.filter(({ ask }) => ask.grade === 3).length} of ${count(cards.length, 'follow-up')}`, clock(step.ask.seconds)].join(' · ')),
      words.length ? element('details', {}, element('summary', {}, 'What you wrote'), ...words.flatMap(({ title, ask }) => [small(title), typed(ask.answer)])) : '');
    });
    return [element('h2', {}, all.length ? `You made ${score(questions(record))}` : 'The book no longer has these questions'), small(date(here)),
      element('ul', { className: 'practice-result' }, ...lines), ...reading(all),
      element('p', {}, button('Another interview', () => location.hash = '', { className: 'practice-main' })), backup(teach)];
  }

  /** What to read: each chapter and its sections, each once, with what was missed of it. */
  function reading(all) {
    const gaps = all.flatMap(step => missed(step).map(gap => ({ ...gap, chapter: step.chapter })));
    if (!gaps.length) return all.length ? [element('p', {}, 'You missed nothing: there is nothing to read again.')] : [];
    const short = ({ front, html: text }) => inline(front ?? text.match(/^&quot;.+?&quot;/)?.[0] ?? text.split(': ')[0]);
    const line = (href, title, ...more) => element('li', {}, element('a', { href }, title), element('small', {},
      ...gaps.filter(({ read }) => read.some(([to]) => to === href)).flatMap((gap, i) => [i ? ' · ' : '', short(gap)])), ...more);
    const lines = [...new Set(gaps.map(({ chapter }) => chapter))].map(chapter => {
      const sections = new Map(gaps.filter(gap => gap.chapter === chapter).flatMap(({ read }) => read));
      sections.delete(chapter.page);
      return line(chapter.page, chapter.title, element('ul', {}, ...[...sections].map(([href, title]) => line(href, title))));
    });
    const cards = gaps.filter(gap => gap.chapter.cards.some(({ id }) => id === gap.id)), due = element('span'); // a trap is no card
    follow = () => { // the last mark may be on its way to its card
      const known = cards.map(({ id }) => progress.card(id).due).filter(Number.isFinite);
      due.textContent = known.length ? `, and the first comes back ${progress.when(Math.min(...known))}.` : '.';
    };
    follow();
    return [element('h3', {}, 'Read next'), element('ul', { className: 'practice-reading' }, ...lines),
      cards.length ? element('p', {}, 'What you missed is among ', element('a', { href: 'review.html' }, 'your cards'), due) : ''];
  }

  // --- what is shown -------------------------------------------------------------------------------------------------

  const said = element('p', { className: 'practice-said', role: 'status' }), table = element('div');
  room.replaceChildren(said, table);
  delete document.body.dataset.bsSpy; // the theme takes each link within a page for a selector, which a date is not
  let here = ''; // the interview that the address names
  let shown, ticking, follow; // follow() takes over into what is shown what has changed in the record

  /** Show what the record says. At a new step, which the reader or another tab has made, the focus goes to its heading. */
  function render(loaded) {
    const record = load(here), at = record && now(record), step = record && steps(record)[at];
    const view = step ? `${here} ${at} ${step.ask.seconds}` : record ? here : `start ${here}`;
    if (view === shown) return follow(step);
    shown = view;
    clearTimeout(ticking);
    follow = () => {};
    said.textContent = here && !record ? 'This browser does not keep that interview.' : store.unkept ? UNKEPT : '';
    practising(step);
    table.replaceChildren(...!record ? start() : !step ? result(record) : [...(step.ask.seconds === undefined ? question : compare)(at, step),
      small(element('a', { href: '#' }, 'Leave the interview'), ': it waits for you.')]);
    if (loaded === true) return;
    const heading = record ? table.querySelector('h2') : document.querySelector('.bd-article h1');
    heading.tabIndex = -1;
    scrollTo({ top: 0, behavior: 'instant' });
    heading.focus({ preventScroll: true });
  }

  const leave = () => change(here, (steps, record) => { if (now(record) >= 0) record.left = Date.now(); });
  function arrive() {
    const loaded = shown === undefined, hash = location.hash.slice(1);
    if (DATE.test(hash) || !hash) {
      if (hash !== here) leave();
      here = hash;
      change(here, (steps, record) => {
        const away = Date.now() - record.left, ask = steps[now(record)]?.ask;
        if (ask && away > AWAY) ask.began += away;
        delete record.left;
      });
    } else if (here) history.replaceState(null, '', `#${here}`); // a jump within the page, to its main content for one
    render(loaded);
  }

  addEventListener('hashchange', arrive);
  addEventListener('pagehide', leave);
  addEventListener('pageshow', event => event.persisted && arrive());
  addEventListener('storage', event => (event.key ?? 'prove-it/interview/').startsWith('prove-it/interview/') && render());
  arrive();
  teach();
})();
