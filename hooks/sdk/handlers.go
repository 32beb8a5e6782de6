package sdk

import (
	"io"
	"sync"
	"time"

	"github.com/kaizengarden/moray/hooks/internal/wire"
)

// maxHandlers bounds how many handlers are kept.
const maxHandlers = 10_000

// handlers keeps the handlers of bindings between events. It is safe for concurrent use.
type handlers struct {
	mu   sync.Mutex // guards what follows, and the counts in kept
	byID map[string]*keptHandler
	next time.Time // when to look for those that nobody uses
}

// keptHandler is a handler and who uses it.
type keptHandler struct {
	id      string
	once    sync.Once
	handler Handler
	err     error
	users   int
	used    time.Time
}

// acquire returns the handler of a binding, which bind makes if there is none. It has to be released.
func (h *handlers) acquire(b *wire.Binding, bind func() (Handler, error)) (*keptHandler, error) {
	h.mu.Lock()
	k := h.byID[b.GetId()]
	if k == nil {
		k = &keptHandler{id: b.GetId()}
		if h.byID == nil {
			h.byID = map[string]*keptHandler{}
		}
		h.byID[k.id] = k
	}
	k.users++
	h.mu.Unlock()
	k.once.Do(func() { k.handler, k.err = bind() })
	if k.err != nil {
		h.release(k)
		return nil, k.err
	}
	return k, nil
}

// release gives back what acquire returned. One that could not be made is made again at the next event.
func (h *handlers) release(k *keptHandler) {
	now := time.Now()
	h.mu.Lock()
	k.users--
	k.used = now
	if k.err != nil && h.byID[k.id] == k {
		delete(h.byID, k.id)
	}
	var unused []Handler
	if now.After(h.next) || len(h.byID) > maxHandlers {
		unused = h.sweep(now.Add(-KeepUnused))
		h.next = now.Add(KeepUnused / 5)
	}
	h.mu.Unlock()
	closeAll(unused)
}

// sweep removes the handlers that were not used since then, and more if there are too many, and returns them.
func (h *handlers) sweep(then time.Time) (unused []Handler) {
	for id, k := range h.byID {
		if k.users == 0 && (k.used.Before(then) || len(h.byID) > maxHandlers) {
			delete(h.byID, id)
			unused = append(unused, k.handler)
		}
	}
	return unused
}

// close closes all handlers.
func (h *handlers) close() {
	h.mu.Lock()
	var all []Handler
	for _, k := range h.byID {
		all = append(all, k.handler)
	}
	h.byID = nil
	h.mu.Unlock()
	closeAll(all)
}

func closeAll(handlers []Handler) {
	for _, h := range handlers {
		if c, ok := h.(io.Closer); ok {
			if err := c.Close(); err != nil {
				Log().Warn("close the handler of a binding", "err", err.Error())
			}
		}
	}
}
