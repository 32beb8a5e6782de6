package config

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// section is an object of a draft that the schema has accepted, so its members have the types that the schema says.
type section object

func (s section) has(name string) bool { return s[name] != nil }

func (s section) section(name string) section {
	o, _ := s[name].(object)
	return o
}

func (s section) text(name string) string {
	text, _ := s[name].(string)
	return text
}

func (s section) integer(name string) int {
	f, _ := s[name].(float64)
	return int(f)
}

func (s section) millis(name string) time.Duration {
	return time.Duration(s.integer(name)) * time.Millisecond
}

// build returns the configuration that a draft without problems stands for. The error is one that no schema can find.
func (d *draft) build() (*Config, error) {
	o, _ := d.root.(object)
	root := section(o)
	c := &Config{
		BindIP:      root.text("bindip"),
		Port:        root.integer("port"),
		MonitorPort: root.integer("monitorPort"),
		ServerUUID:  root.text("server_uuid"),
		Datacenter:  root.text("datacenter"),
		ServiceName: root.text("service_name"),
		Log:         newLog(root.section("bunyan"), d.verbose),
		Grace:       root.section("shutdown").millis("grace"),
	}
	var err error
	if standalone := root.section("standalone"); standalone != nil {
		c.Pool = newPool(standalone.section("pg"))
		if c.Standalone, err = ParseURL(standalone.text("url")); err != nil {
			return nil, fmt.Errorf("config.standalone.url: %w", err)
		}
		for _, name := range c.Standalone.Ignored {
			d.warn("config.standalone.url: the parameter %q is ignored", name)
		}
	}
	if manatee := root.section("manatee"); manatee != nil {
		c.Pool = newPool(manatee.section("pg"))
		c.Manatee, err = newCluster("config.manatee.manatee", manatee.section("manatee"), manatee.section("pg"), "")
	}
	if patroni := root.section("patroni"); patroni != nil {
		c.Pool = newPool(patroni.section("pg"))
		c.Patroni, err = newCluster("config.patroni.patroni", patroni.section("patroni"), patroni.section("pg"), patroni.text("url"))
	}
	if err != nil {
		return nil, err
	}
	requests := root.section("requests")
	c.Requests = Requests{Log: requests.text("log"), Slow: requests.millis("slow")}
	if tracing := root.section("tracing"); tracing != nil {
		c.Tracing = &Tracing{Endpoint: tracing.text("endpoint"), Sample: tracing.integer("sample")}
	}
	c.Fast = newFast(root.section("fast"), c.Pool)
	c.Plugins = newPlugins(root.section("plugins"))
	if c.Access, err = newAccess(root); err != nil {
		return nil, err
	}
	c.Reconcile = newReconcile(root.section("reconcile"))
	if fewest := inFlight(c.Pool); c.Fast.MaxInFlight < fewest {
		d.warn("config.fast.maxInFlight is below pg.maxQueueLength + pg.maxConnections (%d): "+
			"one client is held back before the queue is full", fewest-1)
	}
	return c, nil
}

func newReconcile(s section) Reconcile {
	r := Reconcile{Directory: s.text("directory"), Mode: s.text("mode"), Exit: s.text("onError") == "exit", Reindex: s["reindex"] == true}
	if r.Directory == "" {
		r.Mode = "off"
	}
	return r
}

func newLog(bunyan section, verbose int) Log {
	log := Log{Level: bunyan.text("level"), Verbose: verbose}
	if number, ok := bunyan["level"].(float64); ok {
		log.Level = fmt.Sprint(int(number))
	}
	if s := bunyan.section("syslog"); s != nil {
		log.Syslog = &Syslog{Type: s.text("type"), Facility: s.text("facility"), Host: s.text("host"), Port: s.integer("port")}
		if t := log.Syslog.Type; t != "tcp" && t != "sys" {
			log.Syslog.Type = "udp"
		}
	}
	return log
}

func newPool(pg section) Pool {
	p := Pool{
		ConnectTimeout:      pg.millis("connectTimeout"),
		CheckInterval:       pg.millis("checkInterval"),
		MaxConnections:      pg.integer("maxConnections"),
		MinSpareConnections: pg.integer("maxConnections"),
		MaxQueueLength:      pg.integer("maxQueueLength"),
		TargetClaimDelay:    pg.millis("targetClaimDelay"),
		QueryTimeout:        pg.millis("queryTimeout"),
	}
	if pg.has("minSpareConnections") {
		p.MinSpareConnections = min(pg.integer("minSpareConnections"), p.MaxConnections)
	}
	return p
}

// newCluster reads what Manatee and Patroni have in common. The login is a URL without a host, or empty.
func newCluster(path string, cluster, pg section, login string) (*Cluster, error) {
	zk := cluster.section("zk")
	c := &Cluster{
		Path:           cluster.text("path"),
		SessionTimeout: zk.section("opts").millis("sessionTimeout"),
		SpinDelay:      zk.section("opts").millis("spinDelay"),
		Login:          &URL{},
	}
	if login != "" {
		var err error
		if c.Login, err = ParseURL(login); err == nil && (c.Login.Host != "" || c.Login.SocketDir != "") {
			err = errors.New("it should name no host, which is found in ZooKeeper: tcp://user:password@/database")
		}
		if err != nil {
			return nil, fmt.Errorf("config.patroni.url: %w", err)
		}
	}
	c.Login.User = cmp.Or(c.Login.User, pg.text("user"))
	c.Login.Database = cmp.Or(c.Login.Database, os.Getenv("MORAY_DB_NAME"), "moray")
	for server := range strings.SplitSeq(zk.text("connStr"), ",") {
		server, ok := zooKeeperServer(strings.TrimSpace(server))
		if !ok {
			return nil, errors.New(path + ".zk.connStr should be a list host:port,host:port")
		}
		c.Servers = append(c.Servers, server)
	}
	return c, nil
}

// zooKeeperServer adds the port to a server of a connStr if it is left out.
func zooKeeperServer(text string) (server string, ok bool) {
	host, port, err := net.SplitHostPort(text)
	if err != nil { // no port
		host, port = strings.Trim(text, "[]"), "2181"
	}
	if _, err := netip.ParseAddr(host); err != nil && (host == "" || strings.ContainsAny(host, ":/[] ")) {
		return "", false
	}
	return net.JoinHostPort(host, port), validPort(port)
}

func newFast(fast section, p Pool) Fast {
	f := Fast{
		MaxFrameBytes: fast.integer("maxFrameBytes"),
		MaxInFlight:   max(4096, inFlight(p)),
		WriteTimeout:  fast.millis("writeTimeout"),
		UnsentBytes:   fast.integer("unsentBytes"),
	}
	if fast.has("maxInFlight") {
		f.MaxInFlight = fast.integer("maxInFlight")
	}
	return f
}

// inFlight returns how many requests one client must be able to send for the queue of the pool to overflow, which is then
// reported as in the original. A client that is held back earlier never hears of it.
func inFlight(p Pool) int {
	if p.MaxQueueLength == 0 {
		return 1
	}
	return p.MaxQueueLength + p.MaxConnections + 1
}
