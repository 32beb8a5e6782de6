package config

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

var (
	errForm = errors.New("should be tcp://user:password@host:port/database, /socket/directory database, " +
		"or socket:/socket/directory?db=database")
	errStray = errors.New("there is an @ behind the host: in a user or a password, / ? and # must be percent-encoded")
)

// ParseURL reads the forms that the original accepted:
//
//	tcp://user:password@host:port/database?ssl=true   any scheme; all parts but the host may be missing, and even that
//	/socket/directory database
//	socket:/socket/directory?db=database&encoding=utf8
//
// and besides, as PostgreSQL's own programs print it,
//
//	postgres://user@/database?host=/socket/directory
//
// and, for a cluster, several hosts with or without ports, separated by commas.
//
// Users, passwords, databases and parameters may be percent-encoded; a percent sign that starts no code stands for itself.
// Errors never quote a part of the text, because any part may be a piece of a badly encoded password.
func ParseURL(text string) (*URL, error) {
	var u URL
	var err error
	if strings.HasPrefix(text, "/") {
		err = u.parseSocket(text)
	} else {
		err = u.parseURL(text)
	}
	if err == nil {
		err = u.check()
	}
	if err != nil {
		return nil, err
	}
	return &u, nil
}

func (u *URL) parseSocket(text string) error {
	words := strings.Fields(text)
	if len(words) > 2 {
		return errForm
	}
	u.SocketDir = words[0]
	if len(words) == 2 {
		u.Database = words[1]
	}
	return nil
}

func (u *URL) parseURL(text string) error {
	text, fragment, _ := strings.Cut(text, "#")
	text, query, _ := strings.Cut(text, "?")
	scheme, rest, _ := strings.Cut(text, ":")
	if !isScheme(scheme) {
		return errForm
	}
	socket := strings.EqualFold(scheme, "socket")
	authority, path := "", rest
	if inner, ok := strings.CutPrefix(rest, "//"); ok {
		authority, path, _ = strings.Cut(inner, "/")
		path = "/" + path
	} else if !socket {
		return errForm
	}
	if err := u.parseAuthority(authority); err != nil {
		return err
	}
	// A password that is not encoded has its end, and the host, behind the sign that ended the authority.
	stray := strings.Contains(path+fragment, "@") || !strings.Contains(authority, "@") && strings.Contains(query, "@")
	switch {
	case socket && (u.Host != "" || !strings.HasPrefix(path, "/")):
		return errForm
	case socket:
		u.SocketDir = unescape(path)
	case stray:
		return errStray
	default:
		u.Database = unescape(path[1:])
	}
	return u.parseQuery(query, socket)
}

func isScheme(s string) bool {
	letter := func(r rune) bool { return 'a' <= r|0x20 && r|0x20 <= 'z' }
	other := func(r rune) bool { return !letter(r) && !strings.ContainsRune("0123456789+-.", r) }
	return s != "" && letter(rune(s[0])) && !strings.ContainsFunc(s, other)
}

// parseAuthority reads user:password@host:port,host:port. A password may contain @ and colons.
func (u *URL) parseAuthority(text string) error {
	if at := strings.LastIndexByte(text, '@'); at >= 0 {
		user, password, _ := strings.Cut(text[:at], ":")
		u.User, u.Password = unescape(user), Secret(unescape(password))
		text = text[at+1:]
	}
	for i, one := range strings.Split(text, ",") {
		h, err := parseHost(one)
		switch {
		case err != nil:
			return err
		case i == 0:
			u.Host, u.Port = h.Host, h.Port
		case h.Host == "" || u.Host == "":
			return errors.New("in a list of hosts, none should be empty")
		default:
			u.More = append(u.More, h)
		}
	}
	return nil
}

func parseHost(text string) (HostPort, error) {
	host, port := text, ""
	if inner, ok := strings.CutPrefix(text, "["); ok {
		host, port, ok = strings.Cut(inner, "]")
		if addr, err := netip.ParseAddr(host); !ok || err != nil || !addr.Is6() {
			return HostPort{}, errors.New("the host in brackets should be an IPv6 address")
		}
		port, ok = strings.CutPrefix(port, ":")
		if !ok && port != "" {
			return HostPort{}, errors.New("after the bracket of the host should come a colon and the port")
		}
	} else {
		host, port, _ = strings.Cut(text, ":")
		if strings.ContainsFunc(host, notInHost) {
			return HostPort{}, errors.New("the host should be one name or address; other signs in the user or the password must be percent-encoded")
		}
	}
	if port == "" {
		return HostPort{Host: host}, nil
	}
	if !validPort(port) {
		return HostPort{}, errors.New("the port should be a number from 1 to 65535")
	}
	number, err := strconv.Atoi(port)
	return HostPort{host, number}, err
}

func notInHost(r rune) bool { return r <= ' ' || strings.ContainsRune(`,;'"\[]%<>`, r) }

func validPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0
}

func (u *URL) parseQuery(query string, socket bool) error {
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(strings.ReplaceAll(pair, "+", " "), "=")
		if strings.Contains(name, "@") {
			return errStray
		}
		name, value = unescape(name), unescape(value)
		switch {
		case name == "":
		case name == "ssl":
			if (value == "true" || value == "1") && u.SSLMode == "" {
				u.SSLMode = "require"
			}
		case name == "sslmode":
			u.SSLMode = value
		case name == "sslrootcert":
			u.SSLRootCert = value
		case name == "sslcert":
			u.SSLCert = value
		case name == "sslkey":
			u.SSLKey = value
		case name == "target_session_attrs":
			if !slices.Contains([]string{"any", "read-write", "primary"}, value) {
				return errors.New("target_session_attrs should be read-write, primary or any")
			}
			u.ReadOnly = value == "any"
		case name == "application_name":
			u.ApplicationName = value
		case name == "fallback_application_name":
			u.FallbackApplicationName = value
		case !socket && name == "host" && u.Host == "" && strings.HasPrefix(value, "/"):
			u.SocketDir = value
		case socket && name == "db":
			u.Database = value
		case socket && name == "user":
			u.User = value
		case socket && name == "password":
			u.Password = Secret(value)
		case socket && name == "encoding":
			if !strings.EqualFold(value, "utf8") && !strings.EqualFold(value, "utf-8") {
				return errors.New("the encoding should be utf8")
			}
		case !slices.Contains(u.Ignored, name):
			u.Ignored = append(u.Ignored, name)
		}
	}
	return nil
}

// check refuses what a connection string cannot express.
func (u *URL) check() error {
	if strings.Contains(u.SocketDir, ",") {
		return errors.New("the socket directory should not contain a comma")
	}
	modes := []string{"", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
	if !slices.Contains(modes, u.SSLMode) {
		return errors.New("sslmode should be disable, allow, prefer, require, verify-ca or verify-full")
	}
	for _, s := range u.settings() {
		if strings.Contains(s.value, "\x00") {
			return errors.New("no part should contain a zero byte")
		}
	}
	return nil
}

// unescape replaces percent codes. Other percent signs stay: the original accepts them in passwords.
func unescape(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if b, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(b))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
