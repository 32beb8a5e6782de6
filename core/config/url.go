package config

import (
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Secret is a text that does not show itself: not in String, not in JSON, not in logs. Convert it to string to use it.
type Secret string

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(hidden)"
}

// GoString is String, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is String, for JSON and logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// URL says where PostgreSQL is and who logs in. What is empty was not given: the PG* environment variables count then, or
// libpq's defaults.
type URL struct {
	SocketDir string // directory of the UNIX socket; then there is no Host
	Host      string
	Port      int // 0: not given
	User      string
	Password  Secret
	Database  string

	SSLMode     string // of libpq: disable, allow, prefer, require, verify-ca or verify-full
	SSLRootCert string // file
	SSLCert     string // file
	SSLKey      string // file

	ApplicationName         string
	FallbackApplicationName string // if neither ApplicationName nor PGAPPNAME is set

	Ignored []string // names of the URL's parameters that mean nothing here
}

// setting is one keyword of a connection string of libpq.
type setting struct{ keyword, value string }

// settings returns what u says, in libpq's words; what it does not say has the value "".
func (u *URL) settings() []setting {
	port := ""
	if u.Port != 0 {
		port = strconv.Itoa(u.Port)
	}
	host := u.Host
	if u.SocketDir != "" {
		host = u.SocketDir
	}
	application := u.ApplicationName
	if application == "" && os.Getenv("PGAPPNAME") == "" {
		application = u.FallbackApplicationName
	}
	mode := u.SSLMode
	if mode == "" && os.Getenv("PGSSLMODE") == "" {
		mode = "disable" // the original encrypts only when told to; libpq alone would try to, at each connection
	}
	return []setting{
		{"host", host},
		{"port", port},
		{"user", u.User},
		{"password", string(u.Password)},
		{"dbname", u.Database},
		{"sslmode", mode},
		{"sslrootcert", u.SSLRootCert},
		{"sslcert", u.SSLCert},
		{"sslkey", u.SSLKey},
		{"application_name", application},
	}
}

// ConnString returns u as a connection string of libpq, in its keyword='value' form, the password included. It leaves out
// what was not given, so that the driver asks the environment.
func (u *URL) ConnString() string {
	var b strings.Builder
	quote := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, s := range u.settings() {
		if s.value == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s.keyword + "='" + quote.Replace(s.value) + "'")
	}
	return b.String()
}

// String returns the place and the user, for logs: never the password.
func (u *URL) String() string {
	if u.SocketDir != "" {
		return strings.TrimSpace(u.SocketDir + " " + u.Database)
	}
	shown := url.URL{Scheme: "tcp", Host: u.Host, Path: "/" + u.Database}
	if u.User != "" {
		shown.User = url.User(u.User)
	}
	if u.Port != 0 {
		shown.Host = net.JoinHostPort(u.Host, strconv.Itoa(u.Port))
	} else if strings.Contains(u.Host, ":") {
		shown.Host = "[" + u.Host + "]"
	}
	return shown.String()
}
