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
	Port      int        // 0: not given
	More      []HostPort // the other servers of a cluster, of which the one that can be written to is used
	User      string
	Password  Secret
	Database  string

	SSLMode     string // of libpq: disable, allow, prefer, require, verify-ca or verify-full
	SSLRootCert string // file
	SSLCert     string // file
	SSLKey      string // file

	ApplicationName         string
	FallbackApplicationName string // if neither ApplicationName nor PGAPPNAME is set

	// ReadOnly says that a server will do that cannot be written to, such as a standby.
	ReadOnly bool

	Ignored []string // names of the URL's parameters that mean nothing here
}

// HostPort is where a server is.
type HostPort struct {
	Host string
	Port int // 0: not given
}

// setting is one keyword of a connection string of libpq.
type setting struct{ keyword, value string }

// settings returns what u says, in libpq's words; what it does not say has the value "".
func (u *URL) settings() []setting {
	host, port := u.hosts()
	attributes := ""
	if len(u.More) > 0 && !u.ReadOnly {
		attributes = "read-write"
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
		{"target_session_attrs", attributes},
	}
}

// hosts returns the hosts and their ports as libpq lists them: one port for all, or one for each.
func (u *URL) hosts() (hosts, ports string) {
	if u.SocketDir != "" {
		hosts = u.SocketDir
	} else {
		hosts = u.Host
	}
	if u.Port != 0 {
		ports = strconv.Itoa(u.Port)
	}
	if len(u.More) == 0 {
		return hosts, ports
	}
	const standard = "5432"
	if ports == "" {
		ports = standard
	}
	for _, other := range u.More {
		hosts += "," + other.Host
		if other.Port == 0 {
			ports += "," + standard
			continue
		}
		ports += "," + strconv.Itoa(other.Port)
	}
	return hosts, ports
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
	shown := url.URL{Scheme: "tcp", Path: "/" + u.Database}
	if u.User != "" {
		shown.User = url.User(u.User)
	}
	shown.Host = HostPort{u.Host, u.Port}.String()
	for _, other := range u.More {
		shown.Host += "," + other.String()
	}
	return shown.String()
}

// String returns host or host:port, as they stand in a URL.
func (h HostPort) String() string {
	switch {
	case h.Port != 0:
		return net.JoinHostPort(h.Host, strconv.Itoa(h.Port))
	case strings.Contains(h.Host, ":"):
		return "[" + h.Host + "]"
	}
	return h.Host
}
