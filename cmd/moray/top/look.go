// Package top shows what a server is doing, from what its monitor serves to anyone: the kang snapshot, the metrics, and readiness. It
// makes a [Report] of two looks, prints it as text, and shows one after the other on a terminal.
package top

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Client looks at one server.
type Client struct {
	Base *url.URL // of the monitor
	HTTP *http.Client
}

// maxAnswer bounds what is read of one answer: arguments of requests in flight can be long.
const maxAnswer = 256 << 20

// ParseBase reads where a monitor is: an http or https URL, or host:port.
func ParseBase(text string) (*url.URL, error) {
	full := text
	if !strings.Contains(text, "://") {
		full = "http://" + text
	}
	u, err := url.Parse(full)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q should be where a monitor is, such as http://127.0.0.1:3020", text)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// look is what a server says at one moment.
type look struct {
	at      time.Time
	clock   time.Time // the same by the server's clock
	kang    snapshot
	metrics map[string]*dto.MetricFamily
	ready   readiness
}

type snapshot struct {
	Service struct{ Name, Ident string }
	Stats   struct {
		Active    int    `json:"nConnectionsActive"`
		Completed uint64 `json:"nRequestsCompleted"`
		Failed    uint64 `json:"nRequestsFailed"`
		Started   time.Time
		Memory    struct{ RSS uint64 }
	}
	Connections map[string]connection  `json:"fastconnection"`
	Requests    map[string]request     `json:"fastrequest"`
	Cluster     map[string]Cluster     `json:"cluster"`
	Pool        map[string]Pool        `json:"pool"`
	Plugins     map[string]Plugin      `json:"plugin"`
	Jobs        map[string]Job         `json:"job"`
	Buckets     map[string]bucketState `json:"bucket"`
	Slow        map[string]Slow        `json:"slowrequest"`
}

type connection struct {
	Address struct{ Label string } `json:"addrinfo"`
}

type request struct {
	Conn       string            `json:"connid"`
	Method     string            `json:"rpcmethod"`
	Args       []json.RawMessage `json:"rpcargs"`
	Blackholed bool              `json:"blackholed"`
	Started    time.Time         `json:"timeStarted"`
}

type bucketState struct {
	Reindexing, Drift bool
	Pending, Problem  string
}

type readiness struct {
	Ready  bool
	Checks map[string]struct {
		OK      bool
		Message string
	}
}

// clocksDiffer is from where on the server's clock counts: it tells whole seconds only.
const clocksDiffer = 5 * time.Second

// look asks the server.
func (c *Client) look(ctx context.Context) (*look, error) {
	l := &look{at: time.Now()}
	l.clock = l.at
	for _, part := range []struct {
		path string
		read func([]byte) error
	}{
		{"/kang/snapshot", func(b []byte) error { return json.Unmarshal(b, &l.kang) }},
		{"/readyz", func(b []byte) error { return json.Unmarshal(b, &l.ready) }},
		{"/metrics", func(b []byte) (err error) {
			parser := expfmt.NewTextParser(model.UTF8Validation)
			l.metrics, err = parser.TextToMetricFamilies(bytes.NewReader(b))
			return err
		}},
	} {
		address := c.Base.String() + part.path
		body, date, err := c.get(ctx, address)
		if err != nil {
			return nil, err
		}
		if date.Sub(l.at).Abs() > clocksDiffer {
			l.clock = date
		}
		if err := part.read(body); err != nil {
			return nil, fmt.Errorf("%s is not what a moray monitor serves: %w", address, err)
		}
	}
	if l.kang.Service.Name != "moray" {
		return nil, fmt.Errorf("%s is the monitor of the service %q, not of moray", c.Base, l.kang.Service.Name)
	}
	return l, nil
}

// get returns an answer and when it was made, by the server's clock.
func (c *Client) get(ctx context.Context, address string) (body []byte, date time.Time, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, date, err
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return nil, date, err // names the address
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusServiceUnavailable {
		return nil, date, fmt.Errorf("%s answers with the status %s", address, answer.Status)
	}
	body, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, date, fmt.Errorf("read %s: %w", address, err)
	}
	if len(body) > maxAnswer {
		return nil, date, fmt.Errorf("%s answers with more than %d MiB", address, maxAnswer>>20)
	}
	if date, err = http.ParseTime(answer.Header.Get("Date")); err != nil {
		date = time.Now() // a proxy may leave it out
	}
	return body, date, nil
}
