// The cards that are due today, one after the other, and some new ones.
(() => {
  const { store, progress, chapters, room: { element, html, button, count, shuffled, practising, backup, UNKEPT } } = window.proveIt;
  const MORE = 7; // new cards at a time, for who wants them
  const KINDS = { rubric: 'A point of a strong answer', quiz: 'Quiz', 'follow-up': 'A follow-up' };
  const GRADES = ['Again', 'Hard', 'Good', 'Easy'];
  const cards = chapters.flatMap(chapter => chapter.cards.map(card => ({ ...card, chapter })));
  const ids = cards.map(card => card.id), byId = new Map(cards.map(card => [card.id, card]));
  const room = document.getElementById('practice');
  const said = element('p', { className: 'practice-said', role: 'status' }), table = element('div');
  room.replaceChildren(said, table, backup(() => table.replaceChildren(...start())));

  let more = 0; // new cards that were asked for on top
  let again = []; // what was not known in this session, once more at its end
  let shown = null, answered = 0;

  const due = () => progress.due(ids);
  const fresh = () => progress.fresh(ids, more);

  function show(...content) {
    practising(shown);
    table.replaceChildren(...content);
    const heading = table.querySelector('h2');
    heading.tabIndex = -1;
    scrollTo({ top: 0, behavior: 'instant' });
    heading.focus({ preventScroll: true });
    if (store.unkept) said.textContent = UNKEPT;
  }

  // --- before and after a session ------------------------------------------------------------------------------------

  function start() { // what stands there before a session and after it
    shown = null;
    const old = due().length, now = fresh().length;
    const left = ids.filter(id => !progress.known(id)).length;
    const content = [element('h2', {}, old + now ? 'Today' : answered ? 'Done for today' : 'Nothing is due today')];
    if (answered) content.push(element('p', {}, `You went through ${count(answered, 'card')}.`));
    const waiting = [old && `${count(old, 'card')} to see again`, now && `${now} new`].filter(Boolean).join(', ');
    if (waiting) content.push(element('p', {}, `${waiting}. About ${count(Math.ceil((old + now) / 2), 'minute')}.`));
    if (old + now) content.push(element('p', {}, button('Begin', next, { className: 'practice-main' })));
    else {
      const week = progress.due(ids, Date.now() + 7 * 86_400_000).length, tomorrow = progress.due(ids, Date.now() + 86_400_000).length;
      content.push(element('p', {}, `New today: ${progress.begun(ids)}, those of interviews and quizzes among them. Due tomorrow: ${tomorrow}. `
        + `Within seven days: ${week}. Never seen: ${left}.`));
      if (left) content.push(element('p', {}, button(count(Math.min(MORE, left), 'more new card'), () => { more += MORE; next(); })));
    }
    answered = 0;
    practising(false);
    return content;
  }

  // --- a card --------------------------------------------------------------------------------------------------------

  function next() {
    const waiting = [...due(), ...fresh()];
    const id = waiting[0] ?? again[0];
    if (!id) return show(...start());
    shown = byId.get(id);
    const left = waiting.length + again.length;
    const heading = element('h2', {}, KINDS[shown.kind]);
    const where = element('p', { className: 'practice-where' },
      element('span', {}, count(left, 'card'), ' left', shown.kind === 'rubric' ? '' : ` · ${shown.chapter.title}`), button('Stop', () => show(...start())));
    // Shuffled, so that it is the answer that is remembered, and not its place.
    const options = shown.options && shuffled(shown.options);
    const answer = options
      ? element('ol', { className: 'practice-options' }, ...options.map((option, i) =>
          element('li', {}, button('', () => pick(options, option), { innerHTML: `<b>${'ABCDEFGH'[i]}</b> <span>${option.html}</span>` }))))
      : element('p', {}, button('Show the answer', () => reveal(true), { className: 'practice-main' }));
    show(heading, where, element('div', { className: 'practice-front' }, html(shown.front)), answer);
  }

  function pick(options, picked) {
    table.querySelectorAll('.practice-options li').forEach((line, i) => {
      const option = options[i], its = line.querySelector('button');
      its.disabled = true;
      line.className = option.right ? 'practice-right' : option === picked ? 'practice-wrong' : '';
      if (option === picked) its.append(element('small', {}, 'your answer'));
      line.append(element('div', {}, html(option.why)));
    });
    reveal(picked.right);
  }

  async function reveal(knew) {
    const card = shown, repeated = again[0] === card.id && ![...due(), ...fresh()].length;
    const heading = element('h3', { tabIndex: -1 }, card.options ? (knew ? 'Right' : 'Not this one') : 'Answer');
    if (!card.options) table.querySelector('.practice-main').parentElement.remove();
    const reading = element('p', { className: 'practice-read' }, 'Read: ', ...card.read.flatMap(([href, text], i) => [i ? ' · ' : '', element('a', { href }, text)]));
    const grades = element('div', { className: 'practice-grades', role: 'group', ariaLabel: 'How well did you know it?' });
    if (card.options) table.querySelector('.practice-options').before(heading);
    else table.append(heading);
    table.append(element('div', {}, html(card.back)), reading, grades);
    heading.focus();
    const grade = (number, text, act, small = '') => grades.append(button('', act, { innerHTML: `<b>${number}</b> ${text} <small>${small}</small>` }));
    if (repeated) {
      grade(1, 'Not yet', () => repeat(false));
      if (knew) grade(2, 'I know it now', () => repeat(true));
      return;
    }
    try {
      const times = await progress.next(card.id);
      if (card !== shown) return;
      GRADES.forEach((text, i) => (knew || !i) && grade(i + 1, text, () => review(i + 1), progress.when(times[i])));
    } catch (error) {
      said.textContent = error.message;
    }
  }

  async function review(grade) {
    if (!shown) return; // the second press of a double click
    const { id } = shown;
    shown = null;
    if (grade === 1) again.push(id);
    answered++;
    await progress.review(id, grade);
    next();
  }

  function repeat(knew) {
    const id = again.shift();
    if (!knew) again.push(id);
    next();
  }

  // Keys work while the focus is in the session, so that they are in nobody's way.
  table.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !shown) return;
    const at = list => [...table.querySelectorAll(list)];
    const options = at('.practice-options button:enabled'), grades = at('.practice-grades button');
    const press = options['abcdefgh'.indexOf(event.key.toLowerCase())] ?? grades[Number(event.key) - 1]
      ?? (event.key === ' ' && event.target.tagName !== 'BUTTON' && event.target.tagName !== 'A' ? at('.practice-main')[0] : null);
    if (!press) return;
    event.preventDefault();
    press.click();
  });

  addEventListener('storage', event => { // another tab
    if (event.key && !event.key.startsWith('prove-it/cards/')) return;
    if (!shown) return table.replaceChildren(...start());
    if (event.key !== `prove-it/cards/${shown.id}`) return;
    said.textContent = 'That card was answered in another tab.';
    next();
  });

  table.replaceChildren(...start());
})();
