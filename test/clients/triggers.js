// Creates buckets with triggers as their owners do, with functions and a stock client, and shows what becomes of puts and deletes.
//
// usage: node triggers.js MODULE HOST PORT
//
// A line of output is a call and what its caller got.
'use strict';

const bunyan = require('bunyan');

const [moduleName, host, port] = process.argv.slice(2);
const moray = require(moduleName);
const log = bunyan.createLogger({ name: 'triggers', level: 'fatal', stream: process.stderr });
const client = moray.createClient({ host, port: Number(port), log, failFast: true });

function show(call, answer) {
    // What differs from run to run: times, and checksums of what holds them.
    const text = JSON.stringify(answer).replace(/\b1\d{12}\b/g, 'TIME').replace(/"mtime":"[^"]*"/, '"mtime":"TIME"');
    console.log(call + ' ' + text);
}

function innermost(err) {
    while (err.cause && err.cause()) {
        err = err.cause();
    }
    return err.name + ': ' + err.message + (Object.keys(err.context || {}).length ? ' ' + JSON.stringify(err.context) : '');
}

function call(method, ...args) {
    return new Promise((resolve) => {
        client[method](...args, (err, result) => {
            const names = args.filter((a) => typeof a === 'string');
            show(method + ' ' + names.join(' '), err ? innermost(err) : result === undefined ? 'ok' : result);
            resolve();
        });
    });
}

function rows(sql) {
    return new Promise((resolve) => {
        const all = [];
        const req = client.sql(sql, []);
        req.on('record', (r) => all.push(r));
        req.on('error', (err) => { show(sql, innermost(err)); resolve(); });
        req.on('end', () => { show(sql, all); resolve(); });
    });
}

// The trigger of the bucket in which Manta keeps its names. An object that a put replaces, or a delete removes, has to be removed
// from the storage nodes later: its metadata, which the client sends in a header, go into the queue of a garbage collector.
function recordDeletes(req, cb) {
    var crc = require('crc');
    var microtime = require('microtime');

    var prev = req.headers['x-muskie-prev-metadata'];
    if (!prev || typeof (prev) !== 'object' || !prev.objectId) {
        return cb();
    }
    if (req.value && req.value.objectId === prev.objectId) {
        return cb();    // only the metadata have changed
    }

    var now = Math.floor(microtime.now() / 1000);
    var value = JSON.stringify(prev);
    var etag = crc.hex32(crc.crc32(value));
    var sql, values;
    if (req.headers['x-muskie-snaplinks-disabled']) {
        sql = 'INSERT INTO manta_fastdelete_queue (_key, _value, _etag, _mtime) ' +
            'VALUES ($1, $2, $3, $4)';
        values = [ prev.objectId, value, etag, now ];
    } else {
        sql = 'INSERT INTO manta_delete_log (_key, _value, _etag, _mtime, objectid) ' +
            'VALUES ($1, $2, $3, $4, $5)';
        values = [ '/' + prev.objectId + '/' + now, value, etag, now, prev.objectId ];
    }

    var query = req.pg.query(sql, values);
    query.on('error', function (err) {
        req.log.debug(err, 'manta_delete_log insert: failed');
        cb(err);
    });
    query.on('end', function () {
        req.log.debug('manta_delete_log insert: done');
        cb();
    });
}

async function manta() {
    await call('createBucket', 'manta_delete_log', { index: { objectId: { type: 'string' } }, options: { version: 1 } });
    await call('createBucket', 'manta_fastdelete_queue', { options: { version: 1 } });
    await call('createBucket', 'manta', {
        index: { dirname: { type: 'string' }, name: { type: 'string' }, owner: { type: 'string' }, objectId: { type: 'string' }, type: { type: 'string' } },
        options: { version: 2 },
        post: [ recordDeletes ]
    });
    await call('putBucket', 'manta', {
        index: { dirname: { type: 'string' }, name: { type: 'string' }, owner: { type: 'string' }, objectId: { type: 'string' }, type: { type: 'string' } },
        options: { version: 2 },
        post: [ recordDeletes ]
    });
    await new Promise((resolve) => client.getBucket('manta', (err, bucket) => {
        show('getBucket manta', err ? innermost(err) : { same: bucket.post[0].toString() === recordDeletes.toString(), typeof: typeof bucket.post[0] });
        resolve();
    }));
    const object = (id) => ({ dirname: '/poseidon/stor', name: 'cat.jpg', owner: 'poseidon', objectId: id, type: 'object' });
    const key = '/poseidon/stor/cat.jpg';
    await call('putObject', 'manta', key, object('o1'), {});
    await call('putObject', 'manta', key, object('o1'), { headers: { 'x-muskie-prev-metadata': object('o1') } });
    await call('putObject', 'manta', key, object('o2'), { headers: { 'x-muskie-prev-metadata': object('o1') } });
    await call('putObject', 'manta', key, object('o3'), {
        headers: { 'x-muskie-prev-metadata': object('o2'), 'x-muskie-snaplinks-disabled': true }
    });
    await call('putObject', 'manta', key, object('o4'), {    // which is in the queue already
        headers: { 'x-muskie-prev-metadata': object('o2'), 'x-muskie-snaplinks-disabled': true }
    });
    await call('batch', [ {
        bucket: 'manta', operation: 'delete', key, options: { headers: { 'x-muskie-prev-metadata': object('o3') } }
    } ], {});
    await rows('SELECT _key, _value, _etag, _mtime, objectid FROM manta_delete_log ORDER BY _id');
    await rows('SELECT _key, _value, _etag, _mtime FROM manta_fastdelete_queue');
    await new Promise((resolve) => {
        const req = client.findObjects('manta_delete_log', '(objectId=o1)');
        req.on('record', (r) => show('findObjects', { key: r.key, value: r.value }));
        req.on('end', resolve);
    });
}

async function examples() {
    const bucket = (name, config) => call('createBucket', name, Object.assign({ index: { s: { type: 'string' } } }, config));
    const put = async (name, key, value, options) => {
        await call('putObject', name, key, value, options || {});
        await new Promise((resolve) => client.getObject(name, key, (err, o) => {
            show('getObject ' + name + ' ' + key, err ? innermost(err) : o.value);
            resolve();
        }));
    };
    await bucket('e8', { pre: [ function (req, cb) { req.value.two = 2; cb(); } ] });
    await put('e8', 'a', { s: '1' });
    await bucket('e9', { pre: [ function (req, cb) { req.key = req.key + '-x'; req.value = { s: 'replaced', extra: [ 1 ] }; cb(); } ] });
    await put('e9', 'a', { s: '1' });
    await put('e9', 'a', { s: '1' });    // the original found a-x taken
    await put('e9', 'a-x', { s: '1' });
    await bucket('e10', { pre: [ function (req, cb) { cb(new Error('boom ' + req.key)); } ] });
    await put('e10', 'a', { s: '1' });
    await bucket('e11', { pre: [ (req, cb) => { const e = new Error('boom'); e.name = 'CustomError'; e.context = { a: 1 }; cb(e); } ] });
    await put('e11', 'a', { s: '1' });
    await bucket('e12', { pre: [ function (req, cb) { req.value.s = 5; req.value.d = new Date(0); req.value.u = undefined; req.value.f = cb; cb(); } ] });
    await put('e12', 'a', {});
    await rows('SELECT _value, s FROM e12');
    await bucket('e13', { post: [ function (req, cb) {
        req.pg.query('INSERT INTO e8 (_key, _value, _etag) VALUES ($1, $2, $3)', [ 'seen ' + req.update + ' ' + (req.value ? req.value.s : 'gone'),
            { id: req.id, value: req.value, headers: req.headers, update: req.update }, 'x' ]).on('error', cb).on('end', function () { cb(); });
    } ] });
    await put('e13', 'a', { s: '1' }, { headers: { foo: 'bar' } });
    await put('e13', 'a', { s: '2' });
    await call('delObject', 'e13', 'a', { headers: { x: 'y' } });
    await rows("SELECT _key, _value FROM e8 WHERE _key LIKE 'seen%' ORDER BY _id");
    await bucket('e16', { post: [ function (req, cb) { cb(new Error('post boom')); } ] });
    await put('e16', 'a', { s: '1' });
    await bucket('e17', { post: [ function (req, cb) { req.value.s = 'changed'; cb(); } ] });
    await put('e17', 'a', { s: '1' });
    await bucket('e18', { pre: [ function (req, cb) { try { require('fs'); } catch (e) { cb(e); } } ] });
    await put('e18', 'a', { s: '1' });
    await bucket('e19', { pre: [ function (req, cb) { var crc = require('crc'); req.value.c = crc.hex32(crc.crc32('x')); cb(); } ] });
    await put('e19', 'a', { s: '1' });
    await call('putObject', 'e10', 'a', { s: '1' }, { etag: 'FFFFFFFF' });    // E6-20
    await bucket('throws', { pre: [ function (req, cb) { throw new TypeError('thrown'); } ] });
    await put('throws', 'a', { s: '1' });
    await bucket('async', { pre: [ async function (req, cb) {
        const n = await new Promise((resolve, reject) => {
            let rows = 0;
            req.pg.query('SELECT * FROM e8').on('row', () => { rows++; }).on('error', reject).on('end', () => resolve(rows));
        });
        req.value.n = n;
        cb();
    } ] });
    await put('async', 'a', { s: '1' });
    await bucket('swallows', { post: [ function (req, cb) { req.pg.query('SELECT nothing').on('error', function () { cb(); }); } ] });
    await put('swallows', 'a', { s: '1' });
    await bucket('date', { index: { d: { type: 'date' } }, pre: [ function (req, cb) { req.value.d = new Date(0); cb(); } ] });
    await put('date', 'a', {});
}

client.once('connect', async () => {
    await manta();
    await examples();
    client.close();
});
