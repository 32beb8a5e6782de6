'use strict';

const crypto = require('crypto');

exports.create = () => crypto.randomUUID();
