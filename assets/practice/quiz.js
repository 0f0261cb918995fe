// Quiz questions in a chapter: the option that is opened first is the answer. It is remembered, and becomes a card.
(() => {
  const { store, progress } = window.proveIt;

  for (const quiz of document.querySelectorAll('.quiz')) {
    const options = [...quiz.querySelectorAll(':scope > details')], key = `quiz/${quiz.id}`, right = Number(quiz.dataset.right);
    const answer = () => progress.parse(key, null);
    const said = Object.assign(document.createElement('p'), { className: 'quiz-said' });
    const words = document.createElement('span'); // there before it says anything, so that a screen reader hears it
    words.setAttribute('role', 'status');
    const again = Object.assign(document.createElement('button'), { type: 'button', textContent: 'Ask me again', hidden: true });
    said.append(words, again);
    quiz.append(said);
    options.forEach((option, i) => option.classList.add(i === right ? 'quiz-right' : 'quiz-wrong'));

    const show = (now = false) => {
      const [picked, time] = answer() ?? [];
      options.forEach((option, i) => option.classList.toggle('quiz-picked', i === picked));
      again.hidden = picked === undefined;
      if (picked === undefined) return words.textContent = '';
      const day = new Date(time).toLocaleDateString('en-GB', { day: 'numeric', month: 'long' }), { due } = progress.card(quiz.id);
      words.textContent = `Your answer${now ? '' : ` of ${day}`}: ${picked === right ? 'right' : 'wrong'}. `
        + (Number.isFinite(due) ? `It comes back as a card ${progress.when(due)}. ` : '');
    };

    options.forEach((option, i) => option.querySelector('summary').addEventListener('click', async () => {
      if (option.open || answer()) return; // it closes, or is read after the answer was given
      let kept = store.set(key, JSON.stringify([i, Date.now()]));
      show(true);
      try {
        kept = await progress.review(quiz.id, i === right ? 3 : 1) && kept;
        show(true);
        if (!kept) words.textContent += 'Your browser does not keep it: its storage is full or blocked. ';
      } catch (error) {
        words.textContent += `${error.message} `;
      }
    }));
    again.addEventListener('click', () => {
      store.set(key, null);
      options.forEach(option => option.open = false);
      show();
      options[0].querySelector('summary').focus();
    });
    addEventListener('storage', event => [null, `prove-it/${key}`].includes(event.key) && show());
    show();
  }
})();
