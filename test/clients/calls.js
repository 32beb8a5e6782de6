// Makes calls with a stock client, as the test tells it on standard input.
//
// usage: node calls.js MODULE HOST PORT
//
// A line of input is one call: {"call": NAME, "args": [...]}. NAME is a method of the client, and the callback is left out of
// its arguments; or one of the calls below. A line of output is what the caller of the client got:
// {"result": VALUE}, or {"records": [VALUE, ...]} from methods that answer with events, and {"error": CHAIN, "records": ...}.
// A CHAIN is the error, its cause, the cause of that, and so on.
//
//   client [OPTIONS]    the calls that follow are made with a new client
//   listen [CHANNEL]    listens, and waits until the server does
//   receive [N]         waits for N notifications
//   unlisten []         ends listening; answers with the notifications that nobody has received
//   together [CALL...]  makes calls at the same time
//
// At the end of the input it closes the client, which waits for its requests. (An assertion of the client that fails inside
// batch or reindexObjects leaves a request that never ends.)
'use strict';

const readline = require('readline');
const vm = require('vm');
const bunyan = require('bunyan');

const [moduleName, host, port] = process.argv.slice(2);
const moray = require(moduleName);
const log = bunyan.createLogger({ name: 'calls', level: process.env.LOG_LEVEL || 'fatal', stream: process.stderr });

const withEvents = new Set(['findObjects', 'find', 'sql']);
const readyPayload = 'ready?';

let client = null;
let listener = null;

function connect(options) {
    return new Promise((resolve, reject) => {
        const c = moray.createClient(Object.assign({ host, port: Number(port), log, failFast: true }, options));
        c.once('connect', () => resolve(c));
        c.once('error', reject);
    });
}

function close(c) {
    return new Promise((resolve) => {
        c.once('close', resolve);
        c.close();
    });
}

// chain describes an error and its causes.
function chain(err) {
    const all = [];
    for (let e = err; e; e = typeof e.cause === 'function' ? e.cause() : null) {
        all.push({ name: e.name, message: e.message, ctor: e.constructor.name, context: e.context, info: e.jse_info });
    }
    return all;
}

// withFunctions makes functions of the texts of triggers, which is how callers of the client have them.
function withFunctions(args) {
    for (const arg of args) {
        for (const list of [arg && arg.pre, arg && arg.post]) {
            if (Array.isArray(list)) {
                list.forEach((text, i) => { list[i] = vm.runInThisContext('(' + text + ')'); });
            }
        }
    }
    return args;
}

function printable(key, value) {
    return typeof value === 'function' ? value.toString() : value;
}

function callback(method, args) {
    return new Promise((resolve) => {
        client[method](...withFunctions(args), (err, result) => resolve(err ? { error: chain(err) } : { result }));
    });
}

function events(method, args) {
    return new Promise((resolve) => {
        const records = [];
        const req = client[method](...args);
        req.on('record', (record) => records.push(record));
        req.on('error', (err) => resolve({ records, error: chain(err) }));
        req.on('end', () => resolve({ records }));
    });
}

// Listener collects the notifications of one channel. There is no answer to listen, so it sends notifications of its own until
// the first comes back.
class Listener {
    constructor(channel) {
        this.records = [];
        this.wake = () => {};
        this.heard = false;
        this.ended = false;
        this.error = null;
        this.stream = client.listen(channel);
        this.stream.on('data', (record) => {
            if (record.payload === readyPayload) {
                this.heard = true;
            } else {
                this.records.push(record);
            }
            this.wake();
        });
        this.stream.on('error', (err) => { this.error = err; this.wake(); });
        this.stream.on('end', () => { this.ended = true; this.wake(); });
    }

    // change waits until something happened, at most for ms milliseconds if given.
    change(ms) {
        return new Promise((resolve) => {
            const timer = ms === undefined ? null : setTimeout(resolve, ms);
            this.wake = () => { clearTimeout(timer); resolve(); };
        });
    }

    async ready(channel) {
        while (!this.heard && !this.error) {
            await callback('notify', [channel, readyPayload]);
            await this.change(50);
        }
        return this.error ? { error: chain(this.error) } : {};
    }

    async receive(count) {
        while (this.records.length < count && !this.ended && !this.error) {
            await this.change();
        }
        return this.answer(this.records.splice(0, count));
    }

    async unlisten() {
        const unlistened = new Promise((resolve, reject) => this.stream.unlisten((err) => (err ? reject(err) : resolve())));
        while (!this.ended && !this.error) {
            await this.change();
        }
        await unlistened;
        return this.answer(this.records);
    }

    answer(records) {
        return this.error ? { records, error: chain(this.error) } : { records };
    }
}

const special = {
    client: async (options) => {
        await close(client);
        client = await connect(options);
        return {};
    },
    listen: (channel) => {
        listener = new Listener(channel);
        return listener.ready(channel);
    },
    receive: (count) => listener.receive(count),
    unlisten: () => listener.unlisten(),
    together: async (...calls) => ({ result: await Promise.all(calls.map(make)) }),
};

function make({ call, args }) {
    if (Object.prototype.hasOwnProperty.call(special, call)) {
        return special[call](...args);
    }
    return withEvents.has(call) ? events(call, args) : callback(call, args);
}

async function main() {
    client = await connect({});
    for await (const line of readline.createInterface({ input: process.stdin })) {
        let answer;
        try {
            answer = await make(JSON.parse(line));
        } catch (err) { // thrown by the client's own checks
            answer = { thrown: err.name + ': ' + err.message };
        }
        process.stdout.write(JSON.stringify(answer, printable) + '\n');
    }
    await close(client);
}

main().catch((err) => {
    process.stderr.write(err.stack + '\n');
    process.exit(1);
});
