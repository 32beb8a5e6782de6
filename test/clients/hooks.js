// Uses a bucket whose owner has bound hooks of a plugin to it, with a stock client that knows nothing of plugins.
//
// usage: node hooks.js MODULE HOST PORT
//
// A line of output is a call and what its caller got.
'use strict';

const bunyan = require('bunyan');

const [moduleName, host, port] = process.argv.slice(2);
const moray = require(moduleName);
const log = bunyan.createLogger({ name: 'hooks', level: 'fatal', stream: process.stderr });
const client = moray.createClient({ host, port: Number(port), log, failFast: true });

function innermost(err) {
    while (err.cause && err.cause()) {
        err = err.cause();
    }
    return err.name + ': ' + err.message + (Object.keys(err.context || {}).length ? ' ' + JSON.stringify(err.context) : '');
}

function call(method, ...args) {
    return new Promise((resolve) => {
        client[method](...args, (err, result) => {
            const names = args.filter((a) => typeof a === 'string').join(' ');
            let answer = result;
            if (method === 'getObject' && result) {
                answer = result.value;
            }
            console.log(method + ' ' + names + ' ' + (err ? innermost(err) : answer === undefined ? 'ok' : JSON.stringify(answer)));
            resolve(result);
        });
    });
}

async function main() {
    await call('putObject', 'dogs', 'rex', { name: ' REX', owner: 'Ann', size: 3 });
    await call('getObject', 'dogs', 'rex', { noCache: true });
    for (const key of ['a', 'b', 'c']) {
        await call('putObject', 'dogs', key, { name: key, owner: 'ann' });
    }
    await call('delObject', 'dogs', 'a');
    await call('putObject', 'dogs', 'c', { name: 'c', owner: 'ann' });

    // Reads the definition, changes it, and writes it back: the hooks stay.
    const bucket = await new Promise((resolve, reject) => client.getBucket('dogs', (err, b) => (err ? reject(err) : resolve(b))));
    const config = { index: bucket.index, options: bucket.options, pre: bucket.pre, post: bucket.post };
    config.index.age = { type: 'number' };
    config.options.version = 2;
    await call('putBucket', 'dogs', config);
    const text = (list) => list.map((f) => f.toString());
    const after = await new Promise((resolve, reject) => client.getBucket('dogs', (err, b) => (err ? reject(err) : resolve(b))));
    console.log('index ' + Object.keys(after.index) + ', pre ' + text(after.pre) + ', post ' + text(after.post));
    await call('putObject', 'dogs', 'd', { name: 'd', owner: 'ann' });
    await call('putObject', 'dogs', 'd', { name: ' D ', owner: 'BOB', age: 1 });
    await call('getObject', 'dogs', 'd', { noCache: true });

    client.close();
}

client.once('connect', () => main().catch((err) => {
    console.error(err);
    process.exit(1);
}));
