// What a trigger finds beside the built-ins of the language, where that is easier to say in JavaScript. It is run once in each
// runtime: base is the global object that those of all triggers inherit from, native are functions of the host.
(function (base, native) {
  'use strict';

  function hidden(object, name, value) {
    Object.defineProperty(object, name, { value: value, writable: true, enumerable: false, configurable: true });
  }

  // require

  // A checksum of a string: of anything else that has no length, it is the one of the empty string.
  function ofString(sum) {
    return function (str) {
      if (typeof str === 'string') {
        return sum.of(str);
      }
      if (str.length > 0) {
        str.charCodeAt(0);
      }
      return sum.of('');
    };
  }

  // A checksum of an array of numbers, or of anything else that has elements.
  function ofList(sum) {
    return function (buf) {
      let s = sum.start;
      for (let i = 0, n = buf.length; i < n; i++) {
        s = sum.add(s, buf[i] | 0);
      }
      return sum.end(s);
    };
  }

  function hex(bits) {
    return function (val) { return native.hex(val | 0, bits); };
  }

  const modules = {
    crc: {
      crc8: ofString(native.crc8),
      crcArc: ofString(native.crcArc),
      crcModbusString: ofString(native.crcModbus),
      crcModbusHex: ofList(native.crcModbus),
      crc16: ofString(native.crc16),
      fcs16: ofString(native.fcs16),
      crc32: ofString(native.crc32),
      hex8: hex(8),
      hex16: hex(16),
      hex32: hex(32),
      buffer: { crc8: ofList(native.crc8), crc16: ofList(native.crc16), crc32: ofList(native.crc32) }
    },
    microtime: {
      now() { return native.microseconds(); },
      nowDouble() { return native.microseconds() / 1e6; },
      nowStruct() {
        const now = native.microseconds();
        const seconds = Math.floor(now / 1e6);
        return [seconds, now - seconds * 1e6];
      }
    }
  };

  hidden(base, 'require', function require(name) {
    if (name === 'crc' || name === 'microtime') {
      return modules[name];
    }
    const error = new Error('"' + String(name) + '" is not a permitted module');
    hidden(error, 'name', 'InvalidRequireError');
    throw error;
  });

  // console: it is there on newer engines, and goes nowhere.

  const console = {};
  [
    'assert', 'count', 'debug', 'dir', 'error', 'group', 'groupEnd', 'info', 'log', 'table', 'time', 'timeEnd', 'trace', 'warn'
  ].forEach(function (name) {
    hidden(console, name, function () {});
  });
  hidden(base, 'console', console);

  // What other engines have, and this one lacks.

  const iso = Date.prototype.toISOString;
  hidden(Date.prototype, 'toISOString', function toISOString() {
    const text = iso.call(this);
    const year = this.getUTCFullYear();
    if (year >= 0 && year <= 9999) {
      return text;
    }
    return (year < 0 ? '-' : '+') + String(Math.abs(year)).padStart(6, '0') + text.slice(text.indexOf('-', 1));
  });
  hidden(Error, 'captureStackTrace', function captureStackTrace(object) {
    hidden(object, 'stack', new Error().stack);
  });
  hidden(Error, 'stackTraceLimit', 10);
  hidden(Date.prototype, 'toGMTString', Date.prototype.toUTCString);
  hidden(Date.prototype, 'getYear', function getYear() {
    return this.getFullYear() - 1900;
  });
  hidden(Date.prototype, 'setYear', function setYear(year) {
    const y = Math.trunc(Number(year));
    return this.setFullYear(y >= 0 && y <= 99 ? y + 1900 : y);
  });
  function accessor(name, kind) {
    hidden(Object.prototype, '__define' + name + '__', function (property, f) {
      const descriptor = { enumerable: true, configurable: true };
      descriptor[kind] = f;
      Object.defineProperty(this, property, descriptor);
    });
    hidden(Object.prototype, '__lookup' + name + '__', function (property) {
      for (let o = Object(this); o !== null; o = Object.getPrototypeOf(o)) {
        const descriptor = Object.getOwnPropertyDescriptor(o, property);
        if (descriptor) {
          return descriptor[kind];
        }
      }
    });
  }
  accessor('Getter', 'get');
  accessor('Setter', 'set');

  // The emitter that req.pg.query returns.

  class EventEmitter {
    #listeners = new Map();

    #add(name, listener, once) {
      if (typeof listener !== 'function') {
        throw new TypeError('listener must be a function');
      }
      const list = this.#listeners.get(name) || [];
      this.#listeners.set(name, list.concat({ listener: listener, once: once }));
      return this;
    }

    on(name, listener) { return this.#add(name, listener, false); }
    addListener(name, listener) { return this.#add(name, listener, false); }
    once(name, listener) { return this.#add(name, listener, true); }

    removeListener(name, listener) {
      const list = (this.#listeners.get(name) || []).slice();
      const at = list.map(function (l) { return l.listener; }).lastIndexOf(listener);
      if (at >= 0) {
        list.splice(at, 1);
        this.#listeners.set(name, list);
      }
      return this;
    }

    off(name, listener) { return this.removeListener(name, listener); }

    removeAllListeners(name) {
      if (name === undefined) {
        this.#listeners.clear();
      } else {
        this.#listeners.delete(name);
      }
      return this;
    }

    listeners(name) { return (this.#listeners.get(name) || []).map(function (l) { return l.listener; }); }
    listenerCount(name) { return this.listeners(name).length; }
    setMaxListeners() { return this; }

    emit(name, ...args) {
      const list = this.#listeners.get(name) || [];
      if (list.length === 0 && name === 'error') {
        throw args[0];
      }
      for (const l of list) {
        if (l.once) {
          this.removeListener(name, l.listener);
        }
        l.listener.apply(this, args);
      }
      return list.length > 0;
    }
  }

  // req.pg

  class Database {
    #query;

    constructor(query) { this.#query = query; }

    query(sql, params) {
      if (typeof sql !== 'string') {
        throw new TypeError('sql (string) is required');
      }
      if (params !== undefined && params !== null && !Array.isArray(params)) {
        throw new TypeError('params ([any]) is required');
      }
      const emitter = new EventEmitter();
      this.#query(emitter, sql, params);
      return emitter;
    }
  }

  // req.log takes what bunyan takes: [error or fields,] format, arguments. write(level) says whether the level is logged.

  function text(value) {
    try {
      return value instanceof Error ? value.stack || String(value) : String(JSON.stringify(value));
    } catch (e) {
      return '[Circular]';
    }
  }

  function format(args) {
    let next = 1;
    let s = typeof args[0] === 'string' ? args[0].replace(/%[sdifjoO%]/g, function (verb) {
      if (verb === '%%') {
        return '%';
      }
      if (next >= args.length) {
        return verb;
      }
      const value = args[next++];
      switch (verb) {
      case '%s': return typeof value === 'object' && value !== null ? text(value) : String(value);
      case '%d': case '%f': return String(Number(value));
      case '%i': return String(Math.trunc(Number(value)));
      default: return text(value);
      }
    }) : text(args[next = 0]);
    for (next = Math.max(next, 1); next < args.length; next++) {
      const value = args[next];
      s += ' ' + (typeof value === 'object' && value !== null ? text(value) : String(value));
    }
    return s;
  }

  function describe(error) {
    return { message: error.message, name: error.name, stack: error.stack };
  }

  class Logger {
    #write;
    #fields;

    constructor(write, fields) {
      this.#write = write;
      this.#fields = fields;
    }

    child(fields) { return new Logger(this.#write, Object.assign({}, this.#fields, fields)); }

    #log(level, args) {
      const enabled = this.#write(level);
      if (args.length === 0 || !enabled) {
        return enabled;
      }
      let fields = this.#fields;
      if (args[0] instanceof Error) {
        fields = Object.assign({}, fields, { err: describe(args[0]) });
        args = args.length > 1 ? args.slice(1) : [args[0].message];
      } else if (typeof args[0] === 'object' && args[0] !== null && !Array.isArray(args[0])) {
        fields = Object.assign({}, fields, args[0]);
        if (fields.err instanceof Error) {
          fields.err = describe(fields.err);
        }
        args = args.slice(1);
      }
      this.#write(level, args.length === 0 ? '' : format(args), fields === undefined ? undefined : text(fields));
    }

    trace(...args) { return this.#log('trace', args); }
    debug(...args) { return this.#log('debug', args); }
    info(...args) { return this.#log('info', args); }
    warn(...args) { return this.#log('warn', args); }
    error(...args) { return this.#log('error', args); }
    fatal(...args) { return this.#log('fatal', args); }
  }

  // A date of a result is one of the server's own, which as a parameter becomes another text than one that a trigger made.

  const rowDate = Object.create(Date.prototype);

  return {
    database(query) { return new Database(query); },
    logger(write) { return new Logger(write); },
    emit: EventEmitter.prototype.emit,
    rowDate: rowDate,
    date(ms) { return Object.setPrototypeOf(new Date(ms), rowDate); }
  };
})
