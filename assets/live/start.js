// Stands in every page: the reader's saved code, what is passed, and the buttons. Python waits until it is asked for.
(() => {
  const page = document.getElementById('live').dataset;
  const element = (name, className, text) => Object.assign(document.createElement(name), { className, textContent: text });

  // Kept in this browser only: <chapter>/code/<cell> is the reader's code, <chapter>/passed/<cell> an exercise passed.
  const { store } = window.proveIt;

  const cells = [...document.querySelectorAll('div.cell')].filter(node => node.querySelector('.live-bar')).map((node, index) => {
    const part = name => node.querySelector('.live-' + name), pre = node.querySelector('.cell_input pre');
    return {
      node, index, pre, id: node.id, number: index + 1, original: pre.textContent.replace(/\n$/, ''),
      is: tag => node.classList.contains('tag_' + tag), key: `${page.chapter}/code/${node.id}`,
      run: part('run'), edit: part('edit'), reset: part('reset'), state: part('state'), editor: null,
      get source() { return this.editor ? this.editor.get() : this.saved ?? this.original; },
      get saved() { return store.get(this.key); },
      show() { // the saved code in the place of the book's
        if (!this.editor && this.saved !== null) this.pre.textContent = this.saved;
        this.reset.hidden = this.saved === null;
      },
      say(text, kind = '') {
        this.state.replaceChildren(text);
        this.state.className = 'live-state ' + kind;
      },
    };
  });

  // What is passed: in the sidebar and on the cards of the home page.
  function marks() {
    document.querySelectorAll('.live-done').forEach(mark => mark.remove());
    for (const [chapter, all] of Object.entries(JSON.parse(page.exercises))) {
      const passed = store.keys(`${chapter}/passed/`).length;
      if (!passed) continue;
      for (const link of document.querySelectorAll('.bd-sidebar-primary .toctree-l1 > a, .cards a'))
        if (link.pathname.endsWith(`/${chapter}.html`))
          link.append(element('small', 'live-done' + (passed < all ? '' : ' live-all'), `${passed} of ${all} exercises passed`));
    }
  }

  // Two sentences for the reader where Python cannot run: what is the matter, and the other ways.
  function otherWays(text) {
    const line = element('span', '', text), link = (href, words) => Object.assign(element('a', '', words), { href });
    if (page.chapter) line.append(' You can ', Object.assign(link(page.source, 'download this chapter'), { download: '' }), ' for JupyterLab');
    if (page.chapter && page.binder) line.append(', or ', link(page.binder, 'open it on Binder'));
    if (page.chapter) line.append('.');
    return line;
  }
  function note(...content) {
    const box = element('p', 'live-note', '');
    box.append(...content);
    document.querySelector(page.chapter ? 'article h1 + p' : 'article h1').after(box);
    return box;
  }

  // A line under the title where there is work to keep: export it, clear it.
  let work = null;
  function keep() {
    const mine = store.keys(page.chapter + '/');
    if (!page.chapter || work || !mine.length) return;
    const button = (words, act) => Object.assign(element('button', '', words), { type: 'button', onclick: act });
    const said = element('span', '', '');
    said.setAttribute('role', 'status');
    const clear = button('Clear it', () => {
      const gone = store.keys(page.chapter + '/').map(key => [key, store.get(key)]);
      gone.forEach(([key]) => store.set(key, null));
      changed();
      said.textContent = 'Cleared. ';
      clear.replaceWith(undo);
      undo.focus();
      undo.onclick = () => {
        gone.forEach(([key, value]) => store.set(key, value));
        changed();
        said.textContent = '';
        undo.replaceWith(clear);
        clear.focus();
      };
    }), undo = button('Undo', null);
    work = note('Your code in this chapter is kept in this browser. ', said,
      button('Save it as a notebook', async () => (await load())?.save()), ' ', clear);
  }
  function changed() { // by Clear, or in another tab
    for (const cell of cells) {
      if (cell.editor) cell.editor.set(cell.saved ?? cell.original);
      else if (cell.pre.textContent !== cell.source) cell.pre.textContent = cell.source;
      cell.show();
    }
    marks();
    keep();
  }
  addEventListener('storage', event => (event.key ?? 'prove-it/').startsWith('prove-it/') && changed());

  let live = null; // the module that runs cells
  const load = () => live ??= import(new URL(page.files + 'live.js', location.href)).catch(() => {
    live = null;
    note(otherWays('The part of this page that runs Python could not be fetched: check the connection and press again.'));
  });

  Object.assign(window.proveIt, { page, cells, marks, keep, otherWays, note, element });
  cells.forEach(cell => cell.show());
  marks();
  keep();

  if (location.protocol === 'file:' || !window.WebAssembly || !window.Worker) {
    document.documentElement.classList.add('live-off');
    if (cells.length) note(location.protocol === 'file:'
      ? 'Opened as a file, this page cannot run Python: type make serve in the folder of the book, and open the address that it prints.'
      : otherWays('This browser cannot run Python in the page.'));
    return;
  }
  const intent = event => event.target.closest?.('.live-bar button') && load().then(module => module?.start());
  if (!navigator.connection?.saveData) ['pointerover', 'focusin'].forEach(type => document.addEventListener(type, intent));
  document.addEventListener('click', async event => {
    const button = event.target.closest('.live-bar button');
    if (button) (await load())?.press(cells.find(cell => cell.node.contains(button)), button);
  });
  // Python ran on an earlier page of this visit: have it ready here, too.
  try { if (cells.length && sessionStorage.getItem('prove-it')) setTimeout(() => load().then(module => module?.start()), 1000); } catch { }
})();
