package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLS says how a listener encrypts. Files are in PEM form.
type TLS struct {
	Certificate, Key string
	// ClientCA has the certificates of authorities whose clients are accepted. Without it none are asked for a certificate.
	ClientCA string
	// Optional lets clients in that show no certificate.
	Optional bool
}

// files are the names of the files, those that are set.
func (t *TLS) files() []string {
	files := []string{t.Certificate, t.Key}
	if t.ClientCA != "" {
		files = append(files, t.ClientCA)
	}
	return files
}

// load reads the files.
func (t *TLS) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.Certificate, t.Key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", t.Certificate, t.Key, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.ClientCA == "" {
		return c, nil
	}
	text, err := os.ReadFile(t.ClientCA)
	if err != nil {
		return nil, err
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", t.ClientCA)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if t.Optional {
		c.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return c, nil
}

// lookInterval is how often the files are looked at, when there are handshakes.
const lookInterval = time.Second

// Config returns the configuration of a listener. Files that change are read again without a restart, for handshakes from then
// on; where they cannot be read the ones before stay in use, and the log says so.
func (t *TLS) Config(log *slog.Logger) (*tls.Config, error) {
	r := &reloader{tls: t, log: log}
	stamps, err := r.stamps()
	if err != nil {
		return nil, err
	}
	if r.current, err = t.load(); err != nil {
		return nil, err
	}
	r.seen, r.looked = stamps, time.Now()
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.config(), nil },
	}, nil
}

// reloader keeps the configuration that the files hold.
type reloader struct {
	tls *TLS
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	current *tls.Config
	seen    string // the stamps of the files that current was read from, or that could not be read
	looked  time.Time
}

// stamps tells versions of the files apart.
func (r *reloader) stamps() (text string, err error) {
	for _, name := range r.tls.files() {
		info, failed := os.Stat(name)
		if failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		text += fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size(), ";")
	}
	return text, err
}

func (r *reloader) config() *tls.Config {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) < lookInterval {
		return r.current
	}
	r.looked = time.Now()
	stamps, err := r.stamps()
	if err != nil || stamps == r.seen {
		return r.current // a file that is being replaced is there the next time
	}
	r.seen = stamps
	fresh, err := r.tls.load()
	if err != nil {
		r.log.Error("certificates have changed and cannot be used; the ones before stay in use", "err", err)
		return r.current
	}
	r.current = fresh
	r.log.Info("certificates have changed")
	return fresh
}
