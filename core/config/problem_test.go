package config_test

import (
	"strings"
	"testing"

	"github.com/kaizengarden/moray/core/config"
)

func TestProblems(t *testing.T) {
	t.Parallel()
	standalone := func(text string) string {
		return `{"bunyan":{},"server_uuid":"u","datacenter":"d","standalone":` + text + `}`
	}
	pg := func(text string) string { return standalone(`{"url":"tcp://h/d","pg":` + text + `}`) }
	bunyan := func(text string) string { return strings.Replace(minimal(""), `"bunyan":{}`, `"bunyan":`+text, 1) }
	manatee := func(text string) string {
		return `{"bunyan":{},"server_uuid":"u","datacenter":"d","manatee":` + text + `}`
	}

	for _, c := range []struct{ text, want string }{
		// As the original says it.
		{minimal(`"port":"2020"`), "config.port should be integer"},
		{minimal(`"port":true`), "config.port should be integer"},
		{minimal(`"port":2020.5`), "config.port should be integer"},
		{minimal(`"port":null`), "config.port should be integer"},
		{minimal(`"port":-1`), "config.port should be >= 0"},
		{minimal(`"port":65536`), "config.port should be <= 65535"},
		{minimal(`"bindip":""`), "config.bindip should NOT be shorter than 1 characters"},
		{standalone(`{"pg":{}}`), "config.standalone should have required property 'url'"},
		{standalone(`{}`), "config.standalone should have required property 'pg', config.standalone should have required property 'url'"},
		{standalone(`true`), "config.standalone should be object"},
		{pg(`{"maxConnections":-1}`), "config.standalone.pg.maxConnections should be >= 0"},
		{pg(`{"maxConnections":false}`), "config.standalone.pg.maxConnections should be integer"},
		{`[]`, "config should be object"},
		{`null`, "config should be object"},

		// What the original did not name.
		{minimal(`"cahe":{}`), "config should NOT have additional properties ('cahe', did you mean 'cache'?)"},
		{minimal(`"kangPort":1`), "config should NOT have additional properties ('kangPort')"},
		{minimal(`"server-uuid":1,"monitorport":1`), "config should NOT have additional properties ('monitorport', did you mean 'monitorPort'?), " +
			"config should NOT have additional properties ('server-uuid', did you mean 'server_uuid'?)"},
		{pg(`{"x":1,"maxConnection":1,"maxConnections":"y"}`), "config.standalone.pg should NOT have additional properties ('maxConnection', did you mean 'maxConnections'?), " +
			"config.standalone.pg should NOT have additional properties ('x'), config.standalone.pg.maxConnections should be integer"},
		{minimal(`"fast":{"maxFrameByte":1}`), "config.fast should NOT have additional properties ('maxFrameByte', did you mean 'maxFrameBytes'?)"},

		// Names that the file chooses.
		{minimal(`"access":{"roles":{"a b/~%":{"permit":["x"]}}}`), `config.access.roles.a b/~%.permit.0 should be equal to one of the allowed values ("read", "write", "admin", "sql")`},

		// What the original found out by dying.
		{`{}`, "config should have required property 'bunyan', config should have required property 'datacenter', " +
			"config should have required property 'server_uuid', config should have required property 'standalone' or 'manatee' or 'patroni'"},
		{`{"bunyan":{},"server_uuid":"u","datacenter":"d"}`, "config should have required property 'standalone' or 'manatee' or 'patroni'"},
		{pg(`{"connectTimeout":0}`), "config.standalone.pg.connectTimeout should be > 0"},
		{pg(`{"connectTimeout":10001}`), "config.standalone.pg.connectTimeout should be <= 10000"},
		{pg(`{"targetClaimDelay":0}`), "config.standalone.pg.targetClaimDelay should be > 0"},
		{pg(`{"maxConnections":0}`), "config.standalone.pg.maxConnections should be > 0"},
		{pg(`{"queryTimeout":1e300}`), "config.standalone.pg.queryTimeout should be <= 2147483647"},
		{bunyan(`5`), "config.bunyan should be object"},
		{bunyan(`{"level":"x"}`), `config.bunyan.level should match pattern "^(trace|debug|info|warn|error|fatal)$" (unknown level name: "x")`},
		{bunyan(`{"level":1.5}`), "config.bunyan.level should be string,integer"},
		{bunyan(`{"syslog":{"type":"udp"}}`), "config.bunyan.syslog should have required property 'facility'"},
		{bunyan(`{"syslog":{"type":"udp","facility":"user","port":0}}`), "config.bunyan.syslog.port should be >= 1"},
		{manatee(`{"pg":{},"manatee":{}}`), "config.manatee.manatee should have required property 'path', config.manatee.manatee should have required property 'zk'"},
		{manatee(`{"pg":{},"manatee":{"path":"/p","zk":{"servers":[]}}}`), "config.manatee.manatee.zk should have required property 'connStr'"},
		{manatee(`{"pg":{},"manatee":{"path":"p","zk":{"connStr":"h"}}}`), `config.manatee.manatee.path should match pattern "^/.*[^/]$"`},
		{standalone(`{"url":"moray","pg":{}}`), "config.standalone.url: should be tcp://user:password@host:port/database, " +
			"/socket/directory database, or socket:/socket/directory?db=database"},
	} {
		_, _, err := config.Parse("c.json", []byte(c.text))
		if want := "InvalidMorayConfigError: " + c.want; err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", c.text, err, want)
		}
	}
}
