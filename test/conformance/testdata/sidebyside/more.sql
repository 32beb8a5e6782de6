-- Tables and rows as the original Moray left them in circumstances that its specification describes. The statements, names and
-- texts are the ones that it uses; etags are the checksums of the values.

-- A database that an early server made: 32-bit ids. No definition was ever updated with a version.
CREATE SEQUENCE early_serial;
CREATE TABLE early (
    _id INTEGER DEFAULT nextval('early_serial'), _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL,
    _etag CHAR(8) NOT NULL, _mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT), _vnode BIGINT,
    a TEXT, n NUMERIC, u TEXT UNIQUE);
CREATE INDEX early_a_idx ON early USING BTREE (a) WHERE a IS NOT NULL;
CREATE INDEX early_n_idx ON early USING BTREE (n) WHERE n IS NOT NULL;
INSERT INTO buckets_config (name, index, pre, post, options) VALUES ('early',
    '{"a":{"type":"string"},"n":{"type":"number"},"u":{"type":"string","unique":true}}', '[]', '[]', NULL);
INSERT INTO early (_key, _value, _etag, _mtime, a, n) VALUES ('k', '{"a":"x","n":1}', '5CCB2CF5', 1560000000000, 'x', 1);

-- An index that became a number by an updateBucket of the original: only the definition changed, the column is still text. The
-- first row was put before that, the second after it; the third has a text that is no number.
CREATE SEQUENCE retyped_serial;
CREATE TABLE retyped (
    _id BIGINT DEFAULT nextval('retyped_serial'), _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL,
    _etag CHAR(8) NOT NULL, _mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT), _vnode BIGINT,
    a TEXT, b NUMERIC, c TEXT);
CREATE INDEX retyped_a_idx ON retyped USING BTREE (a) WHERE a IS NOT NULL;
CREATE INDEX retyped_b_idx ON retyped USING BTREE (b) WHERE b IS NOT NULL;
CREATE INDEX retyped_c_idx ON retyped USING BTREE (c) WHERE c IS NOT NULL;
INSERT INTO buckets_config (name, index, pre, post, options) VALUES ('retyped',
    '{"a":{"type":"number"},"b":{"type":"string"},"c":{"type":"string","unique":true}}', '[]', '[]', '{"version":0}');
INSERT INTO retyped (_key, _value, _etag, _mtime, a, b, c) VALUES
    ('before', '{"a":"5","b":7,"c":"same"}', '00000001', 1560000000000, '5', 7, 'same'),
    ('after', '{"a":6,"b":"8","c":"same"}', '00000002', 1560000000000, '6', 8, 'same'),
    ('text', '{"a":"five"}', '00000003', 1560000000000, 'five', NULL, NULL);

-- A definition of version 3 whose reindexing of version 2 goes on, and one where it has ended: {} is not NULL, row versions go on
-- being written.
CREATE SEQUENCE pending_serial;
CREATE TABLE pending (
    _id BIGINT DEFAULT nextval('pending_serial'), _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL,
    _etag CHAR(8) NOT NULL, _mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT), _vnode BIGINT,
    a TEXT, _rver INTEGER, d TIMESTAMPTZ, z TEXT[]);
INSERT INTO buckets_config (name, index, pre, post, options, reindex_active) VALUES ('pending',
    '{"a":{"type":"string"},"d":{"type":"date"},"z":{"type":"[string]"}}', '[]', '[]', '{"version":3}', '{"2":["d","gone"],"3":["z"]}');
INSERT INTO pending (_key, _value, _etag, _mtime, a, _rver, d, z) VALUES
    ('old', '{"a":"x","d":"2019-07-04T20:30:55.5Z","z":"one"}', '1EEC6C3A', 1560000000000, 'x', NULL, NULL, NULL),
    ('new', '{"a":"y","d":"2019-07-04T20:30:55Z","z":["two"]}', '00000004', 1560000000000, 'y', 3, '2019-07-04T20:30:55.000Z', '{two}');

CREATE SEQUENCE done_serial;
CREATE TABLE done (
    _id BIGINT DEFAULT nextval('done_serial'), _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL,
    _etag CHAR(8) NOT NULL, _mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT), _vnode BIGINT,
    a TEXT, _rver INTEGER);
INSERT INTO buckets_config (name, index, pre, post, options, reindex_active) VALUES ('done',
    '{"a":{"type":"string"}}', '[]', '[]', '{"version":2}', '{}');
INSERT INTO done (_key, _value, _etag, _mtime, a, _rver) VALUES ('k', '{"a":"x"}', '00000005', 1560000000000, 'x', 2);

-- An index that was added without a version: the column of the old row is NULL.
CREATE SEQUENCE added_serial;
CREATE TABLE added (
    _id BIGINT DEFAULT nextval('added_serial'), _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL,
    _etag CHAR(8) NOT NULL, _mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT), _vnode BIGINT,
    a TEXT, b TEXT);
INSERT INTO buckets_config (name, index, pre, post, options) VALUES ('added',
    '{"a":{"type":"string"},"b":{"type":"string"}}', '[]', '[]', '{"version":0}');
INSERT INTO added (_key, _value, _etag, _mtime, a, b) VALUES
    ('k', '{"a":"x","b":"hidden by the original"}', '00000006', 1560000000000, 'x', NULL),
    ('null', '{"a":"y","b":null}', '00000007', 1560000000000, 'y', NULL),
    ('short', '{"a":"z"}', 'abc', NULL, 'z', NULL);

-- An ordered bucket, and a bucket with 64-bit ids in a second column.
CREATE SEQUENCE ordered_serial;
CREATE TABLE ordered_locking_serial (id INTEGER PRIMARY KEY);
INSERT INTO ordered_locking_serial (id) VALUES (4);
CREATE TABLE ordered (
    _id BIGINT DEFAULT nextval('ordered_serial'), _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL,
    _etag CHAR(8) NOT NULL, _mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT), _vnode BIGINT);
INSERT INTO buckets_config (name, index, pre, post, options) VALUES ('ordered', '{}', '[]', '[]', '{"version":1,"guaranteeOrder":true}');
INSERT INTO ordered (_key, _value, _etag, _mtime, _txn_snap) VALUES ('k', '{}', 'A3A6BF43', 1560000000000, 4);

CREATE SEQUENCE extended_serial START 2147483648;
CREATE TABLE extended (
    _id INTEGER, _txn_snap INTEGER, _key TEXT PRIMARY KEY, _value TEXT NOT NULL,
    _etag CHAR(8) NOT NULL, _mtime BIGINT DEFAULT CAST (EXTRACT (EPOCH FROM NOW()) * 1000 AS BIGINT), _vnode BIGINT,
    a TEXT, _idx BIGINT DEFAULT nextval('extended_serial'));
CREATE INDEX extended__idx_idx ON extended USING BTREE (_idx) WHERE _idx IS NOT NULL;
INSERT INTO buckets_config (name, index, pre, post, options) VALUES ('extended', '{"a":{"type":"string"}}', '[]', '[]', '{"version":0}');
INSERT INTO extended (_id, _idx, _key, _value, _etag, _mtime, a) VALUES
    (2147483647, NULL, 'last', '{"a":"x"}', '00000008', 1560000000000, 'x'),
    (NULL, nextval('extended_serial'), 'next', '{"a":"x"}', '00000008', 1560000000000, 'x');
