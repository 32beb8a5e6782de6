package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kaizengarden/moray/core/config"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]config.URL{
		"tcp://moray@127.0.0.1:5432/moray": {Host: "127.0.0.1", Port: 5432, User: "moray", Database: "moray"},
		"postgres://u:p@h/d?ssl=true":      {Host: "h", User: "u", Password: "p", Database: "d", SSLMode: "require"},
		"PostgreSQL://h?ssl=1":             {Host: "h", SSLMode: "require"},
		"tcp://h/d?ssl=false":              {Host: "h", Database: "d"},
		"x-1.y+z://h:1":                    {Host: "h", Port: 1},
		"tcp://h:/":                        {Host: "h"},
		"tcp:///d":                         {Database: "d"},
		"tcp://:5433/d":                    {Port: 5433, Database: "d"},
		"tcp://u@/d":                       {User: "u", Database: "d"},
		"tcp://:p@h":                       {Host: "h", Password: "p"},
		"tcp://[::1]:5433/a%20b":           {Host: "::1", Port: 5433, Database: "a b"},
		"tcp://u@[fe80::1]/d":              {Host: "fe80::1", User: "u", Database: "d"},
		"tcp://h/d/e":                      {Host: "h", Database: "d/e"},
		"tcp://h/d%40e#fragment?ssl=1":     {Host: "h", Database: "d@e"},

		"tcp://u@a:1,b,[::1]:2,[::2]/d": {
			Host: "a", Port: 1, User: "u", Database: "d",
			More: []config.HostPort{{Host: "b"}, {Host: "::1", Port: 2}, {Host: "::2"}},
		},
		"tcp://h/d?target_session_attrs=any":        {Host: "h", Database: "d", ReadOnly: true},
		"tcp://h/d?target_session_attrs=read-write": {Host: "h", Database: "d"},

		// Passwords that are not encoded as they should be, and that the original takes.
		"tcp://u:p@ss@h/d":                 {Host: "h", User: "u", Password: "p@ss", Database: "d"},
		"tcp://u:a:b@h:1/d":                {Host: "h", Port: 1, User: "u", Password: "a:b", Database: "d"},
		"tcp://u:100%@h/d":                 {Host: "h", User: "u", Password: "100%", Database: "d"},
		"tcp://u:%zz%4@h/d":                {Host: "h", User: "u", Password: "%zz%4", Database: "d"},
		"tcp://u:a b'\\@h/d":               {Host: "h", User: "u", Password: `a b'\`, Database: "d"},
		"tcp://a%3Ab:%2f%40%3A@h/d":        {Host: "h", User: "a:b", Password: "/@:", Database: "d"},
		"tcp://u:%D0%BF%C3%A9@h/%E2%82%AC": {Host: "h", User: "u", Password: "пé", Database: "€"},

		"tcp://h/d?application_name=a+b%2B&fallback_application_name=c": {Host: "h", Database: "d", ApplicationName: "a b+", FallbackApplicationName: "c"},
		"tcp://h/d?sslmode=verify-full&sslrootcert=/ca&sslcert=/c&sslkey=/k&ssl=true": {
			Host: "h", Database: "d",
			SSLMode: "verify-full", SSLRootCert: "/ca", SSLCert: "/c", SSLKey: "/k",
		},
		"tcp://u@h/d?application_name=a@b": {Host: "h", User: "u", Database: "d", ApplicationName: "a@b"},
		"socket:/pg?application_name=a@b":  {SocketDir: "/pg", ApplicationName: "a@b"},
		"tcp://h/d?host=other&x&x=1&&db=e": {Host: "h", Database: "d", Ignored: []string{"host", "x", "db"}},

		"postgres://u@/d?host=%2Fvar%2Frun%2Fpg":     {SocketDir: "/var/run/pg", User: "u", Database: "d"},
		"/var/run/pg moray":                          {SocketDir: "/var/run/pg", Database: "moray"},
		"/var/run/pg":                                {SocketDir: "/var/run/pg"},
		"/var/run/pg  moray ":                        {SocketDir: "/var/run/pg", Database: "moray"},
		"socket:/var/run/pg?db=moray&encoding=utf8":  {SocketDir: "/var/run/pg", Database: "moray"},
		"socket:/a%20b?encoding=UTF-8":               {SocketDir: "/a b"},
		"socket:///pg?db=moray&user=u&password=p%2C": {SocketDir: "/pg", Database: "moray", User: "u", Password: "p,"},
		"socket://u:p@/pg?db=moray":                  {SocketDir: "/pg", Database: "moray", User: "u", Password: "p"},
	} {
		got, err := config.ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestParseURLErrors(t *testing.T) {
	t.Parallel()
	const form = "should be tcp://"
	for text, want := range map[string]string{
		"":                                    form,
		"moray":                               form,
		"h/secret":                            form,
		"tcp:secret":                          form,
		"1tcp://secret":                       form,
		"t p://secret":                        form,
		"host=secret dbname=secret":           form,
		"/pg secret secret":                   form,
		"socket:pg?db=secret":                 form,
		"socket://secret/pg":                  form,
		"tcp://u:secret/x@h/d":                "port should be a number",
		"tcp://u:123/secret@h/d":              "@ behind the host",
		"tcp://u:1?secret@h/d":                "@ behind the host",
		"tcp://u:1?b=secret@h/d":              "@ behind the host",
		"tcp://u:1#secret@h/d":                "@ behind the host",
		"tcp://u:a@b?secret@h/d":              "@ behind the host",
		"tcp://u:a@b#secret@h/d":              "@ behind the host",
		"tcp://u:p@h/secret@x":                "@ behind the host",
		"tcp://h:0/secret":                    "port should be a number",
		"tcp://h:65536/secret":                "port should be a number",
		"tcp://h:secret/d":                    "port should be a number",
		"tcp://secret,sec ret/d":              "host should be one name",
		"tcp://secret,,h/d":                   "none should be empty",
		"tcp://,secret/d":                     "none should be empty",
		"tcp://h:1,h:secret/d":                "port should be a number",
		"tcp://h?target_session_attrs=secret": "target_session_attrs should be",
		"tcp://sec ret/d":                     "host should be one name",
		"tcp://::1/secret":                    "port should be a number",
		"tcp://[secret]/d":                    "should be an IPv6 address",
		"tcp://[10.0.0.1]/d":                  "should be an IPv6 address",
		"tcp://[::1/secret":                   "should be an IPv6 address",
		"tcp://[::1]secret/d":                 "after the bracket",
		"tcp://u:secret%00@h/d":               "zero byte",
		"tcp://h/d\x00":                       "zero byte",
		"tcp://h/d?sslmode=secret":            "sslmode should be",
		"socket:/pg?encoding=secret":          "encoding should be utf8",
		"/pg,secret moray":                    "should not contain a comma",
		"tcp://u:secret@h/d?x=%00&ssl=":       "",
	} {
		u, err := config.ParseURL(text)
		if want == "" {
			if err != nil {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want an error with %q", text, u, err, want)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows a part of the text: %v", text, err)
		}
	}
}

func TestConnString(t *testing.T) {
	t.Setenv("PGSSLMODE", "")
	t.Setenv("PGAPPNAME", "")
	for text, want := range map[string]string{
		"tcp://moray@127.0.0.1:5432/moray":   "host='127.0.0.1' port='5432' user='moray' dbname='moray' sslmode='disable'",
		"tcp://u:a b'\\@[::1]/d?ssl=1":       `host='::1' user='u' password='a b\'\\' dbname='d' sslmode='require'`,
		"tcp:///":                            "sslmode='disable'",
		"tcp://u@a:1,b,[::1]:2/d":            "host='a,b,::1' port='1,5432,2' user='u' dbname='d' sslmode='disable' target_session_attrs='read-write'",
		"tcp://a,b?target_session_attrs=any": "host='a,b' port='5432,5432' sslmode='disable'",
		"/pg moray":                          "host='/pg' dbname='moray' sslmode='disable'",
		"tcp://h?application_name=a&fallback_application_name=b":        "host='h' sslmode='disable' application_name='a'",
		"tcp://h?fallback_application_name=b":                           "host='h' sslmode='disable' application_name='b'",
		"tcp://h?sslmode=verify-ca&sslrootcert=/ca&sslcert=/c&sslkey=k": "host='h' sslmode='verify-ca' sslrootcert='/ca' sslcert='/c' sslkey='k'",
	} {
		u, err := config.ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := u.ConnString(); got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}

	t.Setenv("PGSSLMODE", "require")
	t.Setenv("PGAPPNAME", "env")
	u := config.URL{Host: "h", FallbackApplicationName: "b"}
	if got, want := u.ConnString(), "host='h'"; got != want {
		t.Errorf("with PGSSLMODE and PGAPPNAME: got %s, want %s", got, want)
	}
}

// The driver must find every part where it was put, and take what is missing from the environment.
func TestConnStringInDriver(t *testing.T) {
	for name, value := range map[string]string{
		"PGHOST": "envhost", "PGPORT": "5999", "PGUSER": "envuser",
		"PGPASSWORD": "envpassword", "PGDATABASE": "envdatabase", "PGSSLMODE": "", "PGAPPNAME": "envname",
	} {
		t.Setenv(name, value)
	}
	for text, want := range map[string]string{
		"tcp://h": "h 5999 envuser envpassword envdatabase envname plain",
		"tcp:///": "envhost 5999 envuser envpassword envdatabase envname plain",
		"tcp://u:p'\\ x@[::1]:1/d?ssl=true&application_name=a": `::1 1 u p'\ x d a TLS`,
		"/pg moray":           "/pg 5999 envuser envpassword moray envname plain",
		"socket:/pg?db=moray": "/pg 5999 envuser envpassword moray envname plain",
	} {
		u, err := config.ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		c, err := pgconn.ParseConfig(u.ConnString())
		if err != nil {
			t.Errorf("%s: the driver refuses %s: %v", text, u.ConnString(), err)
			continue
		}
		mode := "plain"
		if c.TLSConfig != nil {
			mode = "TLS"
		}
		got := fmt.Sprint(c.Host, " ", c.Port, " ", c.User, " ", c.Password, " ", c.Database, " ", c.RuntimeParams["application_name"], " ", mode)
		if got != want || len(c.Fallbacks) > 0 {
			t.Errorf("%s:\n got %s and %d fallbacks\nwant %s", text, got, len(c.Fallbacks), want)
		}
	}
}

func TestPasswordStaysHidden(t *testing.T) {
	t.Parallel()
	u, err := config.ParseURL("tcp://moray:hunter2@h:5432/d")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{
		u.String(), string(text), fmt.Sprint(u), fmt.Sprint(*u), fmt.Sprintf("%+v %#v", *u, *u),
		fmt.Sprintf("%v %+v", config.Config{Standalone: u}, &config.Config{Standalone: u}), fmt.Sprintf("%x", u.Password),
	} {
		if strings.Contains(shown, "hunter2") || strings.Contains(shown, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("the password shows: %s", shown)
		}
	}
	for text, want := range map[string]string{
		"tcp://moray:hunter2@h:5432/d": "tcp://moray@h:5432/d",
		"pg://[::1]/a%20b":             "tcp://[::1]/a%20b",
		"tcp://[::1]:5/":               "tcp://[::1]:5/",
		"socket://u:hunter2@/pg?db=x":  "/pg x",
		"/pg":                          "/pg",
	} {
		u, err := config.ParseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := u.String(); got != want {
			t.Errorf("%s: String = %s, want %s", text, got, want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, text := range []string{
		"tcp://u:p%40@h:1/d?ssl=true&application_name=x", "/pg d", "socket:/pg?db=d&encoding=utf8",
		"tcp://[::1]:1/", "tcp://u:p'\\@h/d%20", "x://@:1/%",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := config.ParseURL(text)
		if err != nil {
			return
		}
		_ = u.String()
		u.SSLMode, u.SSLRootCert, u.SSLCert, u.SSLKey = "", "", "", "" // the driver would read these files
		c, err := pgconn.ParseConfig(u.ConnString())
		if err != nil {
			t.Fatalf("%q: the driver refuses %q: %v", text, u.ConnString(), err)
		}
		for _, part := range []struct{ name, given, got string }{
			{"host", u.Host + u.SocketDir, c.Host},
			{"user", u.User, c.User},
			{"password", string(u.Password), c.Password},
			{"database", u.Database, c.Database},
		} {
			if part.given != "" && part.given != part.got {
				t.Errorf("%q: %s %q arrives as %q", text, part.name, part.given, part.got)
			}
		}
		if u.Port != 0 && int(c.Port) != u.Port {
			t.Errorf("%q: port %d arrives as %d", text, u.Port, c.Port)
		}
	})
}
