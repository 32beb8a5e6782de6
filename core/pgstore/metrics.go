package pgstore

import (
	"os"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/kaizengarden/moray/core/query"
)

// metrics count what the pool does. Whoever counts something on the way of a request finds the counter here, without a lookup by
// labels.
type metrics struct {
	pool    string // its id
	listens prometheus.Gauge
	events  [events]atomic.Uint64
	refused [refusals]prometheus.Counter
	waits   [kinds]prometheus.Observer
	seconds [ways]prometheus.Observer
	members [writing + 1]prometheus.Observer
}

// event is something that goes wrong with connections.
type event int

const (
	connectTimeout event = iota
	connectError
	connectionError
	claimTimeout
	failedState
	notWritable
	events
)

// eventNames are the original's, but for the last: it did not look.
var eventNames = [events]string{
	"timeout-during-connect", "error-during-connect", "error-while-connected", "claim-timeout", "failed-state", "not-writable",
}

// refusal is why a request got no connection.
type refusal int

const (
	queueFull refusal = iota
	waitedTooLong
	noDatabase
	refusals
)

var refusalNames = [refusals]string{"queue_full", "timeout", "no_database"}

// way is how a statement gets to PostgreSQL.
type way int

const (
	reading       way = iota // short reads, in a round trip of their own or shared
	writing                  // plain writes, likewise
	lone                     // a statement on a connection of its own
	inTransaction            // one of several of a transaction, or its end
	givenText                // the text of an sql call
	ways
)

var wayNames = [ways]string{"read", "write", "alone", "transaction", "text"}

var kindNames = [kinds]string{claim: "connection", short: "statement"}

// secondsBounds are the upper bounds of times, in seconds.
var secondsBounds = []float64{0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30}

func newMetrics(registerer prometheus.Registerer, status func() PoolStatus) *metrics {
	m := &metrics{
		pool: uuid.NewString(),
		listens: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "postgres_standalone_connections_open", Help: "count of open standalone postgres connections",
		}),
	}
	refused := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "moray_pool_refused_total", Help: "requests that got no connection to PostgreSQL: queue_full, timeout (of the wait), no_database",
	}, []string{"reason"})
	waits := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "moray_pool_wait_seconds", Buckets: secondsBounds,
		Help: "waits for a connection, or of a statement for a round trip that carries it; who did not have to wait is not counted",
	}, []string{"kind"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "moray_sql_seconds", Buckets: secondsBounds,
		Help: "time from sending to the last row: of round trips of short reads and plain writes, of statements that run alone, " +
			"of each statement of a transaction, of the text of an sql call",
	}, []string{"kind"})
	members := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "moray_pool_group_statements", Help: "statements that share a round trip to PostgreSQL",
		Buckets: []float64{1, 2, 4, 8, 16, 32, 64},
	}, []string{"kind"})
	for i, name := range refusalNames {
		m.refused[i] = refused.WithLabelValues(name)
	}
	for i, name := range kindNames {
		m.waits[i] = waits.WithLabelValues(name)
	}
	for i, name := range wayNames {
		m.seconds[i] = seconds.WithLabelValues(name)
	}
	for i := range m.members {
		m.members[i] = members.WithLabelValues(wayNames[i])
	}
	if registerer != nil {
		registerer.MustRegister(m.listens, refused, waits, seconds, members, newPoolCollector(m, status))
	}
	return m
}

func (m *metrics) event(e event) { m.events[e].Add(1) }

// roundTrip counts a round trip of short statements.
func (m *metrics) roundTrip(sharing query.Sharing, statements int, took time.Duration) {
	w := reading
	if sharing == query.Write {
		w = writing
	}
	m.seconds[w].Observe(took.Seconds())
	m.members[w].Observe(float64(statements))
}

// waited counts the waits of those who are served together, which end now.
func (m *metrics) waited(batch []*waiter) {
	now := time.Now()
	for _, w := range batch {
		w.began = now
		m.waits[short].Observe(now.Sub(w.since).Seconds())
	}
}

// ran counts a statement that shared its way with none.
func (m *metrics) ran(w way, since time.Time) { m.seconds[w].Observe(time.Since(since).Seconds()) }

// poolCollector makes metrics of what the pool is like at the moment.
type poolCollector struct {
	metrics *metrics
	status  func() PoolStatus

	open, pending, available, depth            *prometheus.Desc // the original's
	events                                     *prometheus.Desc // the original's
	connections, most, waiting, oldest, failed *prometheus.Desc
}

func newPoolCollector(m *metrics, status func() PoolStatus) *poolCollector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	host, _ := os.Hostname() //nolint:errcheck // because without a name the label is empty
	return &poolCollector{
		metrics: m, status: status,
		open:      desc("postgres_connections_open", "count of open postgres connections"),
		pending:   desc("postgres_connections_pending", "count of pending postgres connections"),
		available: desc("postgres_connections_available", "count of available postgres connections"),
		depth:     desc("request_queue_depth", "number of queued requests"),
		events: prometheus.NewDesc("cueball_events", "Total number of cueball error events", []string{"evt"},
			prometheus.Labels{"hostname": host, "uuid": m.pool, "type": "error"}),
		connections: desc("moray_pool_connections", "connections to PostgreSQL: idle, busy, connecting; retired, which end with what "+
			"they are used for because another server is the primary; own, which are not the pool's to hand out", "state"),
		most:    desc("moray_pool_connections_limit", "how many connections the pool may have"),
		waiting: desc("moray_pool_waiting", "requests that wait for a connection, or with a statement for a round trip", "kind"),
		oldest:  desc("moray_pool_oldest_wait_seconds", "how long the request has waited that has waited longest"),
		failed:  desc("moray_pool_failed", "1 while requests are refused at once because there is no database"),
	}
}

// Describe implements prometheus.Collector.
func (c *poolCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.open, c.pending, c.available, c.depth, c.events, c.connections, c.most, c.waiting, c.oldest, c.failed,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *poolCollector) Collect(to chan<- prometheus.Metric) {
	s := c.status()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(c.open, float64(s.Idle+s.Busy+s.Connecting))
	gauge(c.pending, float64(s.Connecting))
	gauge(c.available, float64(s.Idle))
	gauge(c.depth, float64(s.Waiting()))
	for i, name := range eventNames {
		to <- prometheus.MustNewConstMetric(c.events, prometheus.CounterValue, float64(c.metrics.events[i].Load()), name)
	}
	for state, n := range map[string]int{
		"idle": s.Idle, "busy": s.Busy, "connecting": s.Connecting, "retired": s.Retired, "own": s.Own,
	} {
		gauge(c.connections, float64(n), state)
	}
	gauge(c.most, float64(s.MaxConnections))
	gauge(c.waiting, float64(s.WaitingClaims), kindNames[claim])
	gauge(c.waiting, float64(s.WaitingStatements), kindNames[short])
	gauge(c.oldest, s.OldestWait.Seconds())
	failed := 0.
	if s.State == PoolFailed {
		failed = 1
	}
	gauge(c.failed, failed)
}
