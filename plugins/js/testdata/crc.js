// Writes crc.jsonl: what the functions of the package crc 0.2.1 give. Before, in an empty directory: npm install crc@0.2.1
//
// usage: NODE_PATH=DIRECTORY/node_modules node crc.js >crc.jsonl

'use strict';

const crc = require('crc');

function write(name, argument, f) {
  let result;
  try {
    result = f(argument);
  } catch (e) {
    result = e.name;
  }
  console.log(JSON.stringify({ name, argument: argument === undefined ? 'undefined' : JSON.stringify(argument), result }));
}

const strings = ['', 'a', 'hello', '0102ff', '123456789', 'é', 'ā', '😀', '\u0000\u007f\u0080\u00ff\u0100', '{"s":"é"}', 'x'.repeat(300)];
const others = [5, -1, 1.5, true, null, undefined, {}, [], [1, 2], { length: 0 }, { length: 2, 0: 1, 1: 2 }, '12', '1g', [255, 256, 300, -1, 1.9, '7', 'x', null]];
const numbers = [0, 5, -1, -5, 255, 256, 65535, 65536, 4294967295, 4294967296, 8589934597, 1e10, 1.5, -1.5, null, undefined, true, '0x1f', ' 5 ', 'x', [5], {}];

for (const name of ['crc8', 'crcArc', 'crcModbusString', 'crcModbusHex', 'crc16', 'fcs16', 'crc32']) {
  strings.concat(others).forEach((argument) => write(name, argument, crc[name]));
}
for (const name of ['hex8', 'hex16', 'hex32']) {
  numbers.forEach((argument) => write(name, argument, crc[name]));
}
for (const name of ['crc8', 'crc16', 'crc32']) {
  strings.concat(others).forEach((argument) => write('buffer.' + name, argument, crc.buffer[name]));
}
