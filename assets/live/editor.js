// The editor of a live cell: CodeMirror 6, bundled into one file that is fetched when a reader first edits.
import { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
import { python } from '@codemirror/lang-python';
import { bracketMatching, indentUnit, syntaxHighlighting } from '@codemirror/language';
import { EditorState } from '@codemirror/state';
import { EditorView, drawSelection, keymap } from '@codemirror/view';
import { classHighlighter } from '@lezer/highlight';

// {get, set, focus} of an editor in `parent`. onRun: Shift-Enter, Ctrl-Enter. Tab indents; after Escape it leaves.
export function makeEditor(parent, doc, { onRun, onChange, attributes }) {
  const run = () => (onRun(), true);
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc,
      extensions: [
        keymap.of([{ key: 'Shift-Enter', run }, { key: 'Mod-Enter', run }, { key: 'Ctrl-Enter', run }]),
        keymap.of([...defaultKeymap, ...historyKeymap, indentWithTab]),
        history(), drawSelection(), bracketMatching(), indentUnit.of('    '), python(),
        syntaxHighlighting(classHighlighter),
        EditorView.contentAttributes.of({ spellcheck: 'false', autocapitalize: 'off', autocorrect: 'off', ...attributes }),
        EditorView.updateListener.of(update => update.docChanged && onChange()),
      ],
    }),
  });
  return {
    get: () => view.state.doc.toString(),
    set: text => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    focus: () => view.focus(),
  };
}
