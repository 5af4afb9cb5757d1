package shared

import (
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"

	"cache-extension/extension/internal/cache"
)

// outcome is what became of a resource: a value, an error, or neither where there is nothing to tell the server.
type outcome struct {
	want *want
	v    *cache.Value
	err  error
	at   time.Time // of the fetch from below
}

const (
	maxBatch = 1 << 20 // bytes of values that are written at once
	// goneFor is how long the word stands that nothing will come.
	goneFor = time.Second
)

// release ends a lease that is still ours: it is deleted, or holds another word for some milliseconds.
const release = `if redis.call("get", KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] then return redis.call("set", KEYS[1], ARGV[2], "PX", ARGV[3]) end
return redis.call("del", KEYS[1])`

// write takes what was fetched to the server, as much at once as there is, until no more can come. Nobody waits for it but
// the other environments.
func (f *fetch) write() {
	for o := range f.outcomes {
		var batch batch
		for more := true; more; {
			f.add(&batch, o)
			if batch.size >= maxBatch {
				break
			}
			select {
			case o, more = <-f.outcomes:
			default:
				more = false
			}
		}
		if len(batch.steps) > 0 {
			f.tier.do(f.tier.opts.Timeout, true, batch.build) // an error is noted there, and a lease that is not released expires
		}
	}
}

// batch is commands that are sent together.
type batch struct {
	steps []func(valkey.Builder) valkey.Completed
	size  int
}

func (b *batch) then(step func(valkey.Builder) valkey.Completed) { b.steps = append(b.steps, step) }

func (b *batch) build(builder valkey.Builder) valkey.Commands {
	cmds := make(valkey.Commands, len(b.steps))
	for i, step := range b.steps {
		cmds[i] = step(builder)
	}
	return cmds
}

// add adds what an outcome asks for. A value goes before its lease: who finds no lease finds the value.
func (f *fetch) add(b *batch, o outcome) {
	w := o.want
	key, lease, args := w.key, w.lease, []string{f.token}
	switch {
	case o.err == nil && o.v != nil:
		f.addValue(b, o)
	case gone(o.err):
		b.then(func(c valkey.Builder) valkey.Completed { return c.Del().Key(key).Build() })
		args = append(args, nothingComes, strconv.FormatInt(goneFor.Milliseconds(), 10))
	}
	if w.leased {
		b.then(func(c valkey.Builder) valkey.Completed {
			return c.Eval().Script(release).Numkeys(1).Key(lease).Arg(args...).Build()
		})
	}
}

func (f *fetch) addValue(b *batch, o outcome) {
	at := o.at
	if !o.v.FetchedAt.IsZero() {
		at = o.v.FetchedAt
	}
	left := o.want.limit - f.tier.now().Wall.Sub(at)
	record, err := f.seal.write(o.want.resource, o.v, at)
	key := o.want.key
	if err != nil || left < time.Millisecond {
		// What others have written must not pass for the present value.
		b.then(func(c valkey.Builder) valkey.Completed { return c.Del().Key(key).Build() })
		return
	}
	b.size += len(record)
	value, lasts := valkey.BinaryString(record), left.Milliseconds()
	b.then(func(c valkey.Builder) valkey.Completed {
		return c.Set().Key(key).Value(value).PxMilliseconds(lasts).Build()
	})
}
