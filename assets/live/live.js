// Runs a chapter's cells in the reader's browser. Fetched when a reader first reaches for one of the buttons.
const { page, store, cells, marks, keep, otherWays, element } = window.proveIt;
const absolute = path => new URL(path, location.href).href;
const files = absolute(page.files), pyodide = absolute(page.pyodide);
const FIRST = Number(page.first), MORE = Number(page.more); // bytes before the first result, and with matplotlib
const cell = id => cells.find(cell => cell.id === id);

document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: files + 'live.css' }));
const speaker = document.body.appendChild(element('div', 'live-speaker', '')); // read aloud by a screen reader
speaker.setAttribute('role', 'status');
const announce = text => { speaker.textContent = text; };

// --- Python ----------------------------------------------------------------------------------------------------------

let worker = null, ready = null, begun = false, arrived = 0, fetching = 'Python';
let asked = null, queue = [], running = null, since = 0; // the cell that was asked for; those after it; the one that runs

export function start() {
  if (ready) return ready;
  const mine = worker = new Worker(files + 'worker.js', { type: 'module' });
  ready = new Promise((resolve, reject) => {
    const fail = text => {
      if (mine !== worker) return;
      reject(new Error(text));
      halt(begun ? `Python broke off (${text}): the next Run starts it anew.` : otherWays(`Python could not start here (${text}).`), 'bad');
    };
    mine.onerror = event => { event.preventDefault(); fail(event.message || 'its program could not be fetched'); };
    mine.onmessage = ({ data }) => {
      if (mine !== worker) return;
      if (data.type === 'ready') resolve(begun = true);
      else if (data.type === 'failed') fail(data.text);
      else heard[data.type](data);
    };
    mine.postMessage({ type: 'boot', files, pyodide });
  });
  ready.catch(() => { });
  try { sessionStorage.setItem('prove-it', 'started'); } catch { }
  return ready;
}

const heard = {
  progress: data => { arrived = data.arrived; if (asked && !running) progress(); },
  fetching: ({ what }) => { fetching = what; progress(); },
  fetched: () => { if (running) tick(); },
  begin({ cell: id }) {
    ended();
    running = cell(id);
    running.dirty = true; // what it printed before stays until it prints anew
    running.node.classList.add('live-stale');
    since = performance.now();
    tick();
  },
  output({ kind, data, text }) {
    if (running.dirty) clear(running);
    show(running, kind, data, text);
  },
  done({ ok }) {
    const last = running, seconds = ((performance.now() - since) / 1000).toFixed(1);
    ended();
    const target = asked;
    asked = null;
    button(target, false);
    if (ok) tell(target, `done in ${seconds} s`, 'good');
    else if (last === target) tell(target, 'stopped with an error', 'bad');
    else {
      tell(target, `not run: cell ${last.number} above stopped with an error`, 'bad');
      target.node.classList.add('live-stale');
      last.say('stopped with an error', 'bad');
    }
    const printed = [...last.node.querySelectorAll('.cell_output')].map(node => node.innerText.trim() || node.querySelector('img')?.alt || '').join(' ');
    announce(`Cell ${last.number} ${ok ? 'is done' : 'stopped with an error'}. ${printed.slice(0, 400)}`);
    next();
  },
};

function ended() {
  if (!running) return;
  if (running.dirty) clear(running);
  if (running !== asked) running.say('');
  running = null;
}

setInterval(() => running && fetching === 'Python' && tick(), 1000);
function tick() {
  fetching = 'Python';
  const seconds = Math.round((performance.now() - since) / 1000);
  tell(asked, (running === asked ? 'running' : `first running cell ${running.number}, which this one needs`) + (seconds > 1 ? `, ${seconds} s` : '') + ' …');
}
function progress() {
  const all = fetching === 'Python' ? FIRST : MORE, done = fetching === 'Python' ? arrived : Math.max(0, arrived - FIRST);
  const bar = asked.state.querySelector('progress') ?? Object.assign(document.createElement('progress'), { ariaLabel: `Fetching ${fetching}` });
  Object.assign(bar, { max: all, value: Math.min(done, all) });
  const megabytes = bytes => (bytes / 1e6).toFixed(1);
  const words = done < all ? `fetching ${fetching}, ${megabytes(done)} of ${megabytes(all)} MB ` : `starting ${fetching} … `;
  tell(asked, words);
  asked.state.append(bar);
}

// An answer and the check below it are one: the check runs, and both bars tell of it.
const whole = target => target.is('stub') ? cells[target.index + 1] : target;
const bars = target => target.is('check') ? [target, cells[target.index - 1]] : [target];
const tell = (target, text, kind) => bars(target).forEach(each => each.say(text.cloneNode?.(true) ?? text, kind));
const busy = target => target === asked || queue.includes(target);

function run(target) {
  if (busy(target)) return;
  target.pressed = performance.now();
  queue.push(target);
  button(target, true);
  tell(target, 'waiting …');
  next();
}
async function next() {
  if (asked || !queue.length) return;
  asked = queue.shift();
  const mine = asked;
  progress();
  try { await start(); } catch { return; }
  if (mine !== asked) return;
  worker.postMessage({ type: 'run', wanted: bars(mine).map(each => each.id), cells: cells.slice(0, mine.index + 1).map(each => (
    { id: each.id, name: `Cell ${each.number}`, code: each.source, setup: each.is('setup') })) });
}
const STOPPED = 'stopped';
// Ends Python, and with it whatever runs. A new one is made at once.
function halt(text, kind = '') {
  worker?.terminate();
  worker = ready = null;
  begun = false;
  arrived = 0;
  const all = [asked, ...queue].filter(Boolean);
  running?.node.classList.remove('live-stale');
  if (running !== asked) running?.say('');
  asked = running = null;
  queue = [];
  for (const each of all) {
    tell(each, text, kind);
    button(each, false);
  }
  if (all.length) announce(text.textContent ?? text);
  if (text === STOPPED) start();
}
function button(target, busy) {
  target.label ??= target.run.textContent;
  const words = busy ? 'Stop' : target.label;
  for (const each of bars(target)) {
    each.run.textContent = words;
    each.run.setAttribute('aria-label', `${words} cell ${each.number}`);
  }
}

// --- what a cell shows -----------------------------------------------------------------------------------------------

function clear(target) {
  target.alt ??= target.node.querySelector('.cell_output img')?.alt;
  target.node.querySelectorAll(':scope > .cell_output').forEach(node => node.remove());
  target.node.classList.remove('live-stale');
  target.dirty = false;
}
function show(target, kind, data, text) {
  let box = target.node.querySelector(':scope > .cell_output');
  if (!box) target.node.append(box = element('div', 'cell_output docutils container', ''));
  const part = className => box.appendChild(element('div', 'output ' + className, ''));
  if (kind === 'text/html') part('text_html').append(safe(data));
  else if (kind.startsWith('image/')) {
    const src = kind === 'image/png' ? `data:image/png;base64,${data}` : `data:image/svg+xml,${encodeURIComponent(data)}`;
    const alt = target.source === target.original && target.alt || `Figure drawn by cell ${target.number}`;
    part('image').append(Object.assign(document.createElement('img'), { src, alt }));
  } else {
    const className = { stdout: 'stream', stderr: 'stream stderr', text: 'text_plain', error: 'traceback' }[kind];
    let last = box.lastElementChild;
    if (!kind.startsWith('std') || last?.dataset.kind !== kind) {
      last = part(className);
      last.dataset.kind = kind;
      last.append(element('pre', '', ''));
    }
    last.firstChild.append(data);
    for (const line of ((last.rest ?? '') + data).split('\n')) {
      last.columns = Math.max(last.columns ?? 1, line.length);
      last.rest = line;
    }
    last.style.setProperty('--columns', last.columns);
  }
  if (target.is('check') && text.startsWith('PASSED')) {
    store.set(`${page.chapter}/passed/${target.id}`, '1');
    marks();
    keep();
  }
}
function safe(html) { // a cell may print what it likes: no script of it runs in the page
  const { content } = Object.assign(document.createElement('template'), { innerHTML: html });
  content.querySelectorAll('script,iframe,object,embed,link,meta,base,form,style').forEach(node => node.remove());
  for (const node of content.querySelectorAll('*'))
    for (const { name, value } of [...node.attributes])
      if (/^on/i.test(name) || /^\s*(javascript|data):/i.test(value)) node.removeAttribute(name);
  return content;
}

// --- editing ---------------------------------------------------------------------------------------------------------

async function edit(target) {
  if (!target.editor) {
    target.say('opening the editor …');
    const box = element('div', 'live-editor', ''), help = element('p', 'live-help', 'Shift+Enter runs the cell. Escape, then Tab, leaves the editor.');
    help.id = target.id + '-help';
    const options = {
      onRun: () => run(whole(target)), onChange: () => changed(target),
      attributes: { 'aria-label': `Code of cell ${target.number}`, 'aria-describedby': help.id },
    };
    let make = textarea;
    try { make = (await import(files + 'editor.js')).makeEditor; } catch { }
    if (target.editor) return; // pressed twice
    target.editor = make(box, target.source, options);
    target.pre.closest('[class*=highlight-]').replaceWith(box);
    target.edit.before(help);
    target.edit.hidden = true;
    target.say('');
  }
  target.editor.focus();
}
function textarea(parent, doc, { onRun, onChange, attributes }) {
  const area = Object.assign(document.createElement('textarea'), { value: doc, rows: doc.split('\n').length + 1, spellcheck: false, oninput: onChange });
  Object.entries(attributes).forEach(([name, value]) => area.setAttribute(name, value));
  area.onkeydown = event => {
    if (event.key === 'Enter' && (event.shiftKey || event.ctrlKey)) { event.preventDefault(); onRun(); }
  };
  parent.append(area);
  return { get: () => area.value, set: text => { area.value = text; onChange(); }, focus: () => area.focus() };
}
function changed(target) {
  const code = target.editor.get(), same = code === target.original;
  if (code === (target.saved ?? target.original)) return; // another tab wrote it
  const kept = store.set(target.key, same ? null : code);
  target.reset.hidden = same;
  target.reset.textContent = 'Reset';
  if (!kept) target.say('This browser does not keep your code: save it as a file before you leave.', 'bad');
  keep();
}
function reset(target) {
  const undo = target.reset.textContent === 'Undo', before = target.source;
  const code = undo ? target.before : target.original;
  target.before = before;
  if (target.editor) target.editor.set(code);
  else {
    store.set(target.key, undo ? code : null);
    target.pre.textContent = code;
  }
  target.reset.hidden = false;
  target.reset.textContent = undo ? 'Reset' : 'Undo';
}

// The chapter with the reader's code in it, as a notebook.
export async function save() {
  const answer = await fetch(page.source);
  const notebook = await answer.json();
  for (const each of notebook.cells) {
    const mine = cell(each.id);
    if (!mine || mine.source === mine.original) continue;
    Object.assign(each, { source: mine.source, outputs: [], execution_count: null });
  }
  const url = URL.createObjectURL(new Blob([JSON.stringify(notebook, null, 1)], { type: 'application/x-ipynb+json' }));
  Object.assign(document.createElement('a'), { href: url, download: `${page.chapter}.ipynb` }).click();
  URL.revokeObjectURL(url);
}

export function press(target, pressed) {
  const goal = whole(target);
  if (pressed === target.run && !busy(goal)) run(goal);
  else if (pressed === target.run) performance.now() - goal.pressed > 500 && halt(STOPPED); // no double click
  else if (pressed === target.edit) { edit(target); start(); }
  else reset(target);
}
