'use strict';

// The status page: every two seconds it fetches what the server shows anyone, and draws it anew. All text is set as text, never as
// HTML, because names of buckets and methods are up to clients.

const period = 2000; // ms
const mostRows = 50; // of a table that can grow long
const history = [];  // requests a second at the last looks
let before = null;   // the metrics of the last look

// Elements.

const $ = (id) => document.getElementById(id);

// el makes an element. Children are elements, or texts.
function el(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

// table draws a table. Columns are [title, className, row => content].
function table(id, rows, columns, empty, most = mostRows) {
  if (rows.length === 0) {
    $(id).replaceChildren(el('tbody', '', el('tr', '', el('td', 'dim', empty))));
    return;
  }
  const head = el('tr', '', ...columns.map(([title, c]) => { const th = el('th', c === 'number' ? c : '', title); th.scope = 'col'; return th; }));
  const body = rows.slice(0, most).map((row) => el('tr', '', ...columns.map(([, c, f]) => {
    const content = f(row);
    return el('td', c, ...(Array.isArray(content) ? content : [content]));
  })));
  const more = rows.length - body.length;
  if (more > 0) body.push(el('tr', '', el('td', 'dim', `and ${more} more`)));
  $(id).replaceChildren(el('thead', '', head), el('tbody', '', ...body));
}

function list(id, pairs) {
  $(id).replaceChildren(...pairs.filter(([, v]) => v !== null && v !== '' && v !== undefined)
    .flatMap(([name, value]) => [el('dt', '', name), el('dd', '', value)]));
}

// bar draws parts of a whole, [className, amount, title] each.
function bar(parts, whole) {
  const e = el('div', 'bar');
  fill(e, parts, whole);
  return e;
}

function fill(e, parts, whole) {
  e.replaceChildren(...parts.filter(([, n]) => n > 0).map(([c, n, title]) => {
    const i = el('i', c);
    i.style.width = `${Math.min(100, 100 * n / (whole || 1))}%`;
    i.title = `${title}: ${n}`;
    return i;
  }));
}

// Figures.

function count(n) {
  if (n === null || n === undefined || Number.isNaN(n)) return '–';
  if (n >= 1e9) return `${(n / 1e9).toFixed(1)} G`;
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`;
  if (n >= 1e4) return `${(n / 1e3).toFixed(1)} k`;
  return n === Math.round(n) ? String(n) : n.toFixed(1);
}

function bytes(n) {
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (n < 1024) return `${n >= 10 || unit === 'B' ? Math.round(n) : n.toFixed(1)} ${unit}`;
    n /= 1024;
  }
  return `${n.toFixed(1)} TiB`;
}

function span(seconds) {
  if (seconds === null || Number.isNaN(seconds)) return '–';
  if (seconds <= 0) return '0';
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds % 86400 / 3600)} h`;
}

const zeroTime = (text) => !text || text.startsWith('0001-');

// Metrics.

// parseMetrics returns the samples of a page of metrics by name: [labels, value] each.
function parseMetrics(text) {
  const samples = new Map();
  for (const line of text.split('\n')) {
    const m = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!m) continue;
    const labels = {};
    for (const [, name, value] of (m[2] || '').matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[name] = value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
    }
    if (!samples.has(m[1])) samples.set(m[1], []);
    samples.get(m[1]).push([labels, Number(m[3].replace('Inf', 'Infinity'))]);
  }
  return samples;
}

const value = (metrics, name) => { const s = metrics.get(name); return s ? s[0][1] : null; };

// byMethod returns the counters of each method since the start.
function byMethod(metrics) {
  const all = new Map();
  const of = (method) => {
    if (!all.has(method)) all.set(method, { method, count: 0, sum: 0, errors: 0, names: new Map(), buckets: new Map() });
    return all.get(method);
  };
  for (const [l, v] of metrics.get('moray_request_seconds_bucket') || []) of(l.rpcMethod).buckets.set(l.le, v);
  for (const [l, v] of metrics.get('moray_request_seconds_count') || []) of(l.rpcMethod).count = v;
  for (const [l, v] of metrics.get('moray_request_seconds_sum') || []) of(l.rpcMethod).sum = v;
  for (const [l, v] of metrics.get('moray_request_errors_total') || []) {
    const m = of(l.rpcMethod);
    m.errors += v;
    m.names.set(l.error, v);
  }
  return all;
}

// since subtracts what was counted at the last look. A server that was started anew counts from 0.
function since(now, last) {
  if (!last || last.count > now.count) return now;
  const buckets = new Map([...now.buckets].map(([le, n]) => [le, n - (last.buckets.get(le) || 0)]));
  return { method: now.method, count: now.count - last.count, sum: now.sum - last.sum, errors: now.errors - last.errors, buckets };
}

// quantile estimates, as Prometheus does: evenly within a bucket.
function quantile(q, m) {
  if (m.count === 0) return null;
  const bounds = [...m.buckets].map(([le, n]) => [le === '+Inf' ? Infinity : Number(le), n]).sort((a, b) => a[0] - b[0]);
  const rank = q * m.count;
  let low = 0, below = 0;
  for (const [high, n] of bounds) {
    if (n >= rank) return high === Infinity ? low : low + (high - low) * (n === below ? 1 : (rank - below) / (n - below));
    low = high;
    below = n;
  }
  return low;
}

// Drawing.

function drawHealth(ready) {
  $('checks').replaceChildren(...Object.entries(ready.checks).map(([name, c]) => {
    const [mark, look] = !c.ok ? ['✗', 'bad'] : c.message ? ['!', 'warn'] : ['✓', 'good'];
    return el('li', look, `${mark} ${name}${c.message ? `: ${c.message}` : ''}`);
  }));
  document.title = `${ready.ready ? '' : '✗ '}moray`;
}

function drawTiles(shot, rates, metrics) {
  const pool = Object.values(shot.pool || {})[0];
  const tile = (name, text, ...more) => el('div', 'tile', el('b', '', text), el('span', '', name), ...more);
  const bars = el('div', 'history');
  const most = Math.max(1, ...history);
  bars.replaceChildren(...history.map((n) => { const i = el('i'); i.style.height = `${100 * n / most}%`; return i; }));
  $('tiles').replaceChildren(
    tile('requests a second', count(rates.requests), bars),
    tile('errors a second', count(rates.errors)),
    tile('requests in flight', count(value(metrics, 'moray_requests_in_flight'))),
    tile('clients connected', count(shot.stats.nConnectionsActive)),
    tile('wait for PostgreSQL', pool ? count(pool.waitingClaims + pool.waitingStatements) : '–'),
    tile('longest wait', pool ? span(pool.oldestWaitMs / 1000) : '–'),
    tile('memory', bytes(shot.stats.memory.rss)));
}

function drawTopology(shot, now) {
  const c = (shot.cluster || {}).primary;
  if (!c) return;
  list('topology', [
    ['follows', c.kind], ['primary', c.primary || el('span', 'bad', 'not known')], ['generation', c.generation || null],
    ['since', zeroTime(c.since) ? null : `${c.since} (${span((now - Date.parse(c.since)) / 1000)})`],
    ['synchronous standby', c.kind === 'static' ? null : c.standby || el('span', 'warn', 'none')],
    ['source', c.source], ['connected to', c.connected], ['frozen', c.frozen ? 'by an operator' : null],
    ['changes', c.changes], ['states refused', c.ignored || null], ['problem', c.problem ? el('span', 'bad', c.problem) : null],
  ]);
}

function drawPool(shot) {
  const p = Object.values(shot.pool || {})[0];
  if (!p) return;
  fill($('poolbar'), [['one', p.busy, 'busy'], ['two', p.idle, 'idle'], ['three', p.connecting, 'connecting']], p.limit);
  const counters = Object.entries(p.counters).filter(([, n]) => n > 0).map(([name, n]) => `${name} ${n}`).join(', ');
  const held = Object.entries(p.held).map(([name, n]) => `${name} ${n}`).join(', ');
  list('pool', [
    ['state', el('span', p.state === 'running' ? 'good' : 'bad', p.state)],
    ['connections', `${p.busy} busy, ${p.idle} idle, ${p.connecting} connecting; at most ${p.limit}`],
    ['besides', p.retired + p.own > 0 ? `${p.own} of its own, ${p.retired} to former primaries` : null],
    ['waiting', `${p.waitingClaims} requests for a connection, ${p.waitingStatements} statements for a round trip, of ${p.waitingClients} clients`],
    ['queue', p.queueLimit === null ? 'without limit' : `at most ${p.queueLimit}`],
    ['busy for', held], ['what went wrong', counters], ['problem', p.problem ? el('span', 'bad', p.problem) : null],
  ]);
}

function drawJobs(shot) {
  const jobs = Object.values(shot.job || {});
  $('jobsection').hidden = jobs.length === 0;
  table('jobs', jobs, [
    ['job', '', (j) => ({ reindex: `reindexing of ${j.bucket}`, definitions: `definitions of ${j.directory}`, overview: 'reading what this page shows' })[j.kind] || j.kind],
    ['state', '', jobState],
    ['by', 'dim', (j) => (j.by === 'clients' ? 'clients, with reindexobjects' : j.by || '')],
  ], '');
}

function jobState(j) {
  const problem = j.problem ? el('span', 'bad', j.problem) : null;
  if (j.kind === 'definitions') {
    const waiting = j.pending > 0 ? el('span', 'warn', `, ${j.pending} wait for somebody`) : null;
    return [`${j.defined} definitions, mode ${j.mode}`, j.revision ? `, revision ${j.revision}` : null, waiting, problem && el('br'), problem].filter(Boolean);
  }
  if (j.kind !== 'reindex') return [problem || ''];
  const fields = j.indexes.length > 0 ? `indexes ${j.indexes.join(', ')}: ` : '';
  if (j.remaining === null) return [`${fields}rows left are not counted yet`];
  const left = `${fields}${j.atLeast ? 'more than ' : ''}${count(j.remaining)} rows left`;
  const whole = Math.max(j.rows || 0, j.remaining);
  return j.atLeast ? [left] : [left, bar([['one', whole - j.remaining, 'done']], whole)];
}

function drawMethods(rows, seconds) {
  rows.sort((a, b) => b.now.count - a.now.count || b.all.count - a.all.count);
  const q = (p) => (r) => span(quantile(p, r.now));
  table('methods', rows, [
    ['method', '', (r) => r.all.method],
    ['a second', 'number', (r) => count(r.now.count / seconds)],
    ['errors a second', 'number', (r) => el('span', r.now.errors > 0 ? 'bad' : 'dim', count(r.now.errors / seconds))],
    ['median', 'number', q(0.5)], ['95 %', 'number', q(0.95)], ['99 %', 'number', q(0.99)],
    ['mean since start', 'number', (r) => span(r.all.count > 0 ? r.all.sum / r.all.count : null)],
    ['requests', 'number', (r) => count(r.all.count)],
    ['errors', '', (r) => [...r.all.names].sort((a, b) => b[1] - a[1]).map(([name, n]) => `${count(n)} ${name}`).join(', ')],
  ], 'no requests yet');
}

function drawFlight(shot, now) {
  const all = Object.values(shot.fastrequest).map((r) => ({ ...r, age: (now - Date.parse(r.timeStarted)) / 1000 })).sort((a, b) => b.age - a.age);
  $('flightcount').textContent = all.length > 0 ? `${all.length}, the oldest first` : '';
  const client = (r) => { const c = shot.fastconnection[r.connid]; return c ? c.addrinfo.label : ''; };
  table('flight', all, [
    ['age', 'number', (r) => el('span', r.age > 10 && r.rpcmethod !== 'listen' ? 'bad' : '', span(r.age))],
    ['method', '', (r) => r.rpcmethod],
    ['first argument', '', (r) => el('code', '', typeof r.rpcargs[0] === 'string' ? shorten(r.rpcargs[0], 120) : '')],
    ['client', '', (r) => (r.blackholed ? el('span', 'warn', `${client(r)} is gone`) : client(r))],
    ['connection/id', 'dim', (r) => `${r.connid}/${r.msgid}`],
  ], 'none');
}

const shorten = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);

function drawSlow(shot) {
  const all = Object.entries(shot.slowrequest || {}).sort((a, b) => a[0] - b[0]).map(([, s]) => s);
  table('slow', all, [
    ['time', 'dim', (s) => s.time.slice(11, 23)], ['method', '', (s) => s.rpcmethod], ['bucket', '', (s) => s.bucket],
    ['took', 'number', (s) => span(s.ms / 1000)],
    ['queue, SQL, hooks, rest', '', (s) => [
      bar([['three', s.queue_ms, 'queue, ms'], ['one', s.sql_ms, 'SQL, ms'], ['two', s.hooks_ms, 'hooks, ms'],
        ['rest', Math.max(0, s.ms - s.queue_ms - s.sql_ms - s.hooks_ms), 'rest, ms']], s.ms),
    ]],
    ['SQL', '', (s) => el('code', '', shorten(s.sql, 300))], ['error', 'bad', (s) => s.error],
    ['client', 'dim', (s) => s.client], ['request', 'dim', (s) => s.req_id],
  ], 'none');
}

function drawPlugins(shot, now) {
  const look = { running: 'good', starting: 'warn', waiting: 'warn' };
  table('plugins', Object.values(shot.plugin || {}), [
    ['plugin', '', (p) => p.name], ['state', '', (p) => el('span', look[p.state] || 'bad', p.state)], ['version', '', (p) => p.version],
    ['hooks', '', (p) => (p.hooks || []).join(', ')], ['process', 'dim', (p) => p.pid || ''],
    ['runs for', 'number', (p) => (p.started ? span((now - Date.parse(p.started)) / 1000) : '')],
    ['restarts', 'number', (p) => count(p.restarts)], ['events', 'number', (p) => count(p.events)], ['calls', 'number', (p) => count(p.calls)],
    ['errors', 'number', (p) => el('span', p.errors > 0 ? 'bad' : 'dim', count(p.errors))], ['memory', 'number', (p) => bytes(p.memory)],
    ['problem', 'bad', (p) => p.error || ''],
  ], 'none');
}

function drawBuckets(shot, now) {
  const all = Object.entries(shot.bucket || {}).map(([name, b]) => ({ name, ...b }));
  const troubled = (b) => (b.problem || b.drift || b.pending || b.reindexing ? 0 : 1);
  all.sort((a, b) => troubled(a) - troubled(b) || (a.name < b.name ? -1 : 1));
  const age = all.length > 0 ? (now - Date.parse(all[0].asOf)) / 1000 : 0;
  $('bucketcount').textContent = all.length > 0 ? `${all.length}${age > 30 ? `, as of ${span(age)} ago` : ''}` : '';
  table('buckets', all, [
    ['bucket', '', (b) => [b.name, el('span', 'dim', ` v${b.version}`)]],
    ['rows, about', 'number', (b) => count(b.rows)], ['size', 'number', (b) => bytes(b.bytes)],
    ['indexes', '', (b) => b.indexes.map((i) => el('span', `chip${i.reindexing ? ' busy' : ''}`, i.name, ' ',
      el('i', '', `${i.type}${i.unique ? ', unique' : ''}${i.reindexing ? ', reindexing' : ''}`)))],
    ['hooks', '', (b) => [...b.pre.map((h) => `pre ${h}`), ...b.post.map((h) => `post ${h}`)].join(', ')],
    ['defined by', '', (b) => (b.managed ? `${b.managed.source}${b.managed.protected ? ', protected' : ''}` : el('span', 'dim', 'clients'))],
    ['state', '', (b) => bucketState(b, shot)],
  ], 'none, or not read yet', 500);
}

function bucketState(b, shot) {
  const parts = [];
  const add = (look, text) => parts.push(el('div', look, text));
  if (b.problem) add('bad', b.problem);
  if (b.drift) add('warn', 'changed by a client since its definition was applied');
  if (b.pending) add('warn', b.pending);
  if (b.reindexing) {
    const job = (shot.job || {})[`reindex/${b.name}`];
    parts.push(el('div', '', ...(job ? jobState({ ...job, indexes: [] }) : ['reindexing'])));
  }
  return parts.length > 0 ? parts : el('span', 'good', 'ready');
}

// Looking.

async function fetched(path) {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(10000) });
  if (!answer.ok && answer.status !== 503) throw new Error(`${path} answers with ${answer.status}`);
  return answer;
}

// clock returns the time by the server's clock, to the second if this machine's differs by more.
function clock(answer) {
  const at = Date.parse(answer.headers.get('Date'));
  return Math.abs(at - Date.now()) > 2000 ? at : Date.now();
}

async function look() {
  const answers = await Promise.all(['kang/snapshot', 'metrics', 'readyz'].map(fetched));
  const now = clock(answers[2]);
  const [shot, text, ready] = await Promise.all([answers[0].json(), answers[1].text(), answers[2].json()]);
  const metrics = parseMetrics(text), methods = byMethod(metrics);
  const started = Date.parse(shot.stats.started);
  const last = before && before.started === started ? before : { methods: new Map(), at: started };
  const seconds = Math.max(0.1, (now - last.at) / 1000);
  const rows = [...methods.values()].map((all) => ({ all, now: since(all, last.methods.get(all.method)) }));
  before = { methods, at: now, started };
  const total = (f) => rows.reduce((n, r) => n + f(r.now), 0) / seconds;
  const rates = { requests: total((m) => m.count), errors: total((m) => m.errors) };
  history.push(rates.requests);
  if (history.length > 60) history.shift();

  const build = (metrics.get('moray_build_info') || [[{}]])[0][0];
  $('ident').textContent = shot.service.ident;
  $('about').textContent = `version ${build.version || '?'}, up ${span((now - started) / 1000)}`;
  drawHealth(ready);
  drawTiles(shot, rates, metrics);
  drawTopology(shot, now);
  drawPool(shot);
  drawJobs(shot);
  drawMethods(rows, seconds);
  drawFlight(shot, now);
  drawSlow(shot);
  drawPlugins(shot, now);
  drawBuckets(shot, now);
}

let answered = Date.now();

async function run() {
  for (;;) {
    if (!document.hidden && !$('pause').checked) {
      try {
        await look();
        answered = Date.now();
        $('lost').hidden = true;
      } catch (err) {
        $('lost').textContent = `No answer for ${span((Date.now() - answered) / 1000)}: ${err.message}. What is shown is out of date.`;
        $('lost').hidden = false;
        document.title = '✗ moray';
      }
      document.body.dataset.looks = Number(document.body.dataset.looks || 0) + 1;
    }
    await new Promise((resolve) => { setTimeout(resolve, period); });
  }
}

run();
