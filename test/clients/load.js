// Works with many clients at the same time and checks what each of them sees.
//
// usage: node load.js HOST PORT CLIENTS ROUNDS MODULE...
//
// Client number i uses the i-th of the modules in turn. In each round it writes an object of its own, reads it back, and adds one
// to a counter that it shares with others, with the etag as precondition. In between it finds its objects, writes several at
// once, and deletes one. At the end the program prints {"requests": N, "conflicts": N, "counted": N}, where counted is how often
// a counter was raised with success. An answer that no single order of the requests explains ends it with status 1.
'use strict';

const assert = require('assert');
const bunyan = require('bunyan');

const [host, port, clients, rounds, ...modules] = process.argv.slice(2);
const log = bunyan.createLogger({ name: 'load', level: 'fatal', stream: process.stderr });
const bucket = 'load';
const counters = 20;
const keys = 10; // objects a client

const done = { requests: 0, conflicts: 0, counted: 0 };

function connect(moduleName) {
    return new Promise((resolve, reject) => {
        const client = require(moduleName).createClient({ host, port: Number(port), log, failFast: true });
        client.once('connect', () => resolve(client));
        client.once('error', reject);
    });
}

function call(client, method, ...args) {
    done.requests++;
    return new Promise((resolve, reject) => {
        client[method](...args, (err, result) => (err ? reject(err) : resolve(result)));
    });
}

function find(client, filter, options) {
    done.requests++;
    return new Promise((resolve, reject) => {
        const records = [];
        const req = client.findObjects(bucket, filter, options);
        req.on('record', (record) => records.push(record));
        req.on('error', reject);
        req.on('end', () => resolve(records));
    });
}

function isError(err, name) {
    for (let e = err; e; e = typeof e.cause === 'function' ? e.cause() : null) {
        if (e.name === name) {
            return true;
        }
    }
    return false;
}

// count adds one to a counter: it reads, and writes under the condition that nobody wrote in between.
async function count(client, key) {
    for (;;) {
        let current = { value: { n: 0 }, _etag: null };
        try {
            current = await call(client, 'getObject', bucket, key, { noCache: true });
        } catch (err) {
            if (!isError(err, 'ObjectNotFoundError')) {
                throw err;
            }
        }
        try {
            await call(client, 'putObject', bucket, key, { kind: 'counter', n: current.value.n + 1 }, { etag: current._etag });
            done.counted++;
            return;
        } catch (err) {
            if (!isError(err, 'EtagConflictError')) {
                throw err;
            }
            done.conflicts++;
        }
    }
}

async function work(number) {
    const owner = 'client' + number;
    const client = await connect(modules[number % modules.length]);
    const mine = new Map();
    for (let round = 0; round < Number(rounds); round++) {
        const key = owner + '-' + (round % keys);
        const value = { kind: 'own', owner, round, text: 'x'.repeat(round % 100) };
        const put = await call(client, 'putObject', bucket, key, value);
        mine.set(key, value);
        const got = await call(client, 'getObject', bucket, key, { noCache: true });
        assert.deepStrictEqual(got.value, value);
        assert.strictEqual(got._etag, put.etag);
        if (round % 3 === 0) {
            await count(client, 'counter' + (number % counters));
        }
        if (round % 8 === 7) {
            const found = await find(client, '(&(owner=' + owner + ')(kind=own))', { sort: { attribute: 'round', order: 'ASC' } });
            const want = [...mine.values()].sort((a, b) => a.round - b.round);
            assert.deepStrictEqual(found.map((record) => record.value), want);
            assert.strictEqual(found[0]._count, want.length);
        }
        if (round % 16 === 15) {
            await call(client, 'deleteObject', bucket, key);
            mine.delete(key);
            const pair = [1, 2].map((i) => ({ bucket, key: owner + '-pair' + i, value: { kind: 'own', owner, round: round + i / 10 } }));
            await call(client, 'batch', pair);
            pair.forEach((put) => mine.set(put.key, put.value));
        }
    }
    await new Promise((resolve) => { client.once('close', resolve); client.close(); });
}

async function main() {
    const client = await connect(modules[0]);
    const index = { kind: { type: 'string' }, owner: { type: 'string' }, round: { type: 'number' }, n: { type: 'number' } };
    await call(client, 'createBucket', bucket, { index });
    await Promise.all(Array.from({ length: Number(clients) }, (_, number) => work(number)));
    const found = await find(client, '(kind=counter)');
    assert.strictEqual(found.reduce((sum, record) => sum + record.value.n, 0), done.counted);
    client.close();
    process.stdout.write(JSON.stringify(done) + '\n');
}

main().catch((err) => {
    process.stderr.write(err.stack + '\n');
    process.exit(1);
});
