// What makes pages more comfortable; each of them works without it.
'use strict';

// The server shows moments in the zone of this cookie from the next page on.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && zone !== document.documentElement.dataset.zone) {
  document.cookie = `tz=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
}

function prepare(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.getTime())) {
      time.textContent = moment.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
    }
  }
  for (const button of root.querySelectorAll('[data-copy]')) {
    button.hidden = !navigator.clipboard;
  }
}

document.addEventListener('click', async (event) => {
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const before = button.textContent;
  await navigator.clipboard.writeText(button.dataset.copy || button.previousElementSibling.textContent);
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = before; }, 2000);
});

// Search as you type: the answer is the same page, of which the list is taken.
let waiting = 0;
let asked = 0;
document.addEventListener('input', (event) => {
  const field = event.target.closest('[data-search]');
  if (!field) return;
  clearTimeout(waiting);
  waiting = setTimeout(() => search(field), 200);
});

async function search(field) {
  const turn = ++asked;
  const address = `${field.form.action}?${new URLSearchParams(new FormData(field.form))}`;
  const answer = await fetch(address, { headers: { Accept: 'text/html' } });
  const list = document.querySelector(field.dataset.search);
  const found = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = found.querySelector(field.dataset.search);
  if (turn !== asked || !fresh) return;
  list.replaceChildren(...fresh.childNodes);
  prepare(list);
  history.replaceState(null, '', address);
}

// Undo: the form is sent when its seconds are over, and not at all when the page is left before.
let counting = 0;
document.addEventListener('submit', (event) => {
  const form = event.target.closest('[data-undo]');
  if (!form) return;
  event.preventDefault();
  const note = document.querySelector('[data-undo-note]');
  const left = note.querySelector('[data-undo-left]');
  left.textContent = form.dataset.undo;
  note.hidden = false;
  form.hidden = true;
  note.querySelector('button').focus();
  counting = setInterval(() => {
    left.textContent -= 1;
    if (left.textContent > 0) return;
    clearInterval(counting);
    form.append(Object.assign(document.createElement('input'), { type: 'hidden', name: 'sure', value: 'yes' }));
    form.submit();
  }, 1000);
});

document.addEventListener('click', (event) => {
  const note = event.target.closest('[data-undo-note] button')?.closest('[data-undo-note]');
  if (!note) return;
  clearInterval(counting);
  note.hidden = true;
  const form = document.querySelector('[data-undo]');
  form.hidden = false;
  form.querySelector('button:not([hidden])').focus();
});

prepare(document);
