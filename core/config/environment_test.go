package config_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kaizengarden/moray/core/config"
)

const small = `{"bunyan": {}, "server_uuid": "x", "datacenter": "d", "standalone": {"url": "tcp://moray@db/moray", "pg": {}}}`

func TestWithEnvironment(t *testing.T) {
	t.Parallel()
	c, warnings, err := config.Parse("config.json", []byte(small), config.WithEnvironment([]string{
		"PORT=1",
		"MORAY_CONFIG__PORT=2021",
		"MORAY_CONFIG__DATACENTER=5",
		"MORAY_CONFIG__SERVER_UUID=u",
		"MORAY_CONFIG__serviceName=s",
		"MORAY_CONFIG__STANDALONE__PG__MAXCONNECTIONS=7",
		"MORAY_CONFIG__STANDALONE__PG__MIN_SPARE_CONNECTIONS=3",
		"MORAY_CONFIG__ACCESS__NETWORKS=10.0.0.0/8, ::1",
		"MORAY_CONFIG__ACCESS__AUDIT=true",
		"MORAY_CONFIG__BUNYAN__LEVEL=WARN",
		`MORAY_CONFIG__PLUGINS__audit={"command": "/opt/audit"}`,
		"MORAY_CONFIG__PLUGINS__AUDIT__ARGS=-x,y",
	}))
	if err != nil || len(warnings) > 0 {
		t.Fatalf("warnings %q, error %v", warnings, err)
	}
	got := map[string]any{
		"port": c.Port, "datacenter": c.Datacenter, "server": c.ServerUUID, "service": c.ServiceName,
		"connections": c.Pool.MaxConnections, "spare": c.Pool.MinSpareConnections, "level": c.Log.Level,
		"audit": c.Access.Audit, "networks": len(c.Access.Networks),
	}
	want := map[string]any{
		"port": 2021, "datacenter": "5", "server": "u", "service": "s", "connections": 7, "spare": 3, "level": "warn",
		"audit": true, "networks": 2,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	i := slices.IndexFunc(c.Plugins, func(p config.Plugin) bool { return p.Name == "audit" })
	if i < 0 || c.Plugins[i].Command != "/opt/audit" || !slices.Equal(c.Plugins[i].Args, []string{"-x", "y"}) {
		t.Errorf("plugins %+v", c.Plugins)
	}
}

func TestWithEnvironmentRefuses(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"MORAY_CONFIG__DATACENTRE=1":                `the environment variable MORAY_CONFIG__DATACENTRE names no key of the configuration: 'DATACENTRE', did you mean 'DATACENTER'?`,
		"MORAY_CONFIG__=1":                          `the environment variable MORAY_CONFIG__ names no key`,
		"MORAY_CONFIG__PORT":                        `the environment variable MORAY_CONFIG__PORT should be integer`,
		"MORAY_CONFIG__PORT=many":                   `the environment variable MORAY_CONFIG__PORT should be integer`,
		"MORAY_CONFIG__PORT=70000":                  `config.port should be <= 65535 (from MORAY_CONFIG__PORT)`,
		"MORAY_CONFIG__PORT__NUMBER=1":              `the environment variable MORAY_CONFIG__PORT__NUMBER names no key`,
		"MORAY_CONFIG__SOCKET__MODE=rwx":            `config.socket.mode should match pattern`,
		"MORAY_CONFIG__STANDALONE__PG__FOO=1":       `MORAY_CONFIG__STANDALONE__PG__FOO names no key`,
		"MORAY_CONFIG__STANDALONE__URL=tcp://a:b@c": ``,
	} {
		_, _, err := config.Parse("config.json", []byte(small), config.WithEnvironment([]string{entry}))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", entry, err)
			}
			continue
		}
		var invalid *config.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", entry, err, want)
		}
	}
}

// FuzzWithEnvironment looks for variables that end the program.
func FuzzWithEnvironment(f *testing.F) {
	f.Add("STANDALONE__PG__MAXCONNECTIONS", "7")
	f.Add("PLUGINS__X", `{"command": null}`)
	f.Add("ACCESS__ROLES__A__PERMIT", "read,write")
	f.Fuzz(func(t *testing.T, key, value string) {
		c, _, err := config.Parse("config.json", []byte(small), config.WithEnvironment([]string{"MORAY_CONFIG__" + key + "=" + value}))
		if (c == nil) == (err == nil) {
			t.Errorf("configuration %v, error %v", c, err)
		}
	})
}
