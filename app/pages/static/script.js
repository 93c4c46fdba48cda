// What makes pages more comfortable; each of them works without it.
'use strict';

// The server shows moments in the zone of this cookie from the next page on.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone && zone !== document.documentElement.dataset.zone) {
  document.cookie = `tz=${zone}; path=/; max-age=31536000; samesite=lax`;
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

// A file: dropped anywhere on the page, and sent with progress. The report is taken from the answer,
// so the file stays chosen.
for (const type of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(type, (event) => {
    const field = document.querySelector('[data-drop]');
    if (!field || !event.dataTransfer.types.includes('Files')) return;
    event.preventDefault();
    field.classList.toggle('over', type === 'dragover');
    if (type === 'drop' && event.dataTransfer.files.length === 1) field.files = event.dataTransfer.files;
  });
}

document.addEventListener('submit', (event) => {
  const form = event.target.closest('[data-upload]');
  if (!form) return;
  event.preventDefault();
  if (!form.hasAttribute('aria-busy')) send(form, event.submitter);
});

function send(form, button) {
  const [bar, words] = form.querySelector('[data-progress]').children;
  const data = new FormData(form);
  if (button && button.name) data.append(button.name, button.value);
  form.setAttribute('aria-busy', 'true');
  bar.parentElement.hidden = false;
  bar.hidden = false;
  words.textContent = 'Sending the file';
  const request = new XMLHttpRequest();
  request.upload.onprogress = (step) => { bar.value = step.loaded / step.total; };
  request.upload.onload = () => {
    bar.removeAttribute('value');
    words.textContent = 'Sent. The server reads the file';
  };
  request.onloadend = () => {
    form.removeAttribute('aria-busy');
    bar.hidden = true;
    words.textContent = showReport(form, request);
  };
  request.open('POST', form.action);
  request.setRequestHeader('Accept', 'text/html');
  request.send(data);
}

// What is left to say when the answer has been shown.
function showReport(form, request) {
  if (!request.status) return 'The file could not be sent. Choose it again.';
  const answer = new DOMParser().parseFromString(request.responseText, 'text/html');
  const parts = form.dataset.upload.split(' ');
  if (!answer.getElementById(parts[0])) {
    const why = answer.querySelector('main .card .notice');
    return why ? why.textContent : `The server refused the file: ${request.status}`;
  }
  for (const part of parts) {
    document.getElementById(part).replaceChildren(...answer.getElementById(part).childNodes);
    prepare(document.getElementById(part));
  }
  const report = document.getElementById(parts[0]);
  for (const again of report.querySelectorAll('[data-again]')) again.hidden = true;
  for (const note of answer.querySelectorAll('form [id$=-note]')) {
    const field = document.querySelector(`[aria-describedby=${note.id}]`);
    document.getElementById(note.id).replaceWith(note);
    field.setAttribute('aria-invalid', note.className === 'error');
  }
  report.focus();
  return '';
}

prepare(document);
