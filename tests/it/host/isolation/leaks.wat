;; Leaves the text of a call in a global, in a table, in its initial memory and in memory that it adds, and refuses each
;; request with what it finds of an earlier call: `g`, `t`, `m`, `s` (the size of the memory or the table), or `-`.
;; A text that starts with `trap` traps after everything has been left.
(module
  (memory (export "memory") 4)
  (table $slots 1 64 funcref)
  (elem declare func $marker)
  (global $kept (mut i32) (i32.const 0))
  ;; Where the host's strings and lists go: below the memory that is filled.
  (global $heap (mut i32) (i32.const 1024))
  (func $marker)

  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at
      (i32.and (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
               (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $size)))
    (local.get $at))

  ;; Whether any byte from the third page on is not zero.
  (func $is_marked (result i32)
    (local $at i32)
    (local.set $at (i32.const 131072))
    (loop $next
      (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 1))))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $next (i32.lt_u (local.get $at) (i32.shl (memory.size) (i32.const 16)))))
    (i32.const 0))

  (func $report (param $at i32) (param $letter i32) (param $is_found i32)
    (i32.store8 (local.get $at) (select (local.get $letter) (i32.const 0x2d) (local.get $is_found))))

  (func (export "personaroute:router/routing@0.1.0#route") (param $args i32) (result i32)
    (local $text i32)
    ;; The text of the request: its first four bytes.
    (local.set $text (i32.load (i32.load offset=68 (local.get $args))))
    (call $report (i32.const 512) (i32.const 0x67) (i32.ne (global.get $kept) (i32.const 0)))
    (call $report (i32.const 513) (i32.const 0x74) (i32.eqz (ref.is_null (table.get $slots (i32.const 0)))))
    (call $report (i32.const 514) (i32.const 0x6d) (call $is_marked))
    (call $report (i32.const 515) (i32.const 0x73)
      (i32.or (i32.ne (memory.size) (i32.const 4)) (i32.ne (table.size $slots) (i32.const 1))))
    (global.set $kept (local.get $text))
    (table.set $slots (i32.const 0) (ref.func $marker))
    (drop (table.grow $slots (ref.func $marker) (i32.const 32)))
    ;; 2 MiB are more than the host clears by hand: the rest goes back to the system.
    (drop (memory.grow (i32.const 32)))
    (memory.fill (i32.const 131072) (local.get $text)
      (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 131072)))
    (if (i32.eq (local.get $text) (i32.const 0x70617274)) (then unreachable))
    ;; err(other(report))
    (i32.store8 (i32.const 520) (i32.const 1))
    (i32.store8 (i32.const 524) (i32.const 2))
    (i32.store (i32.const 528) (i32.const 512))
    (i32.store (i32.const 532) (i32.const 4))
    (i32.const 520))

  (func (export "personaroute:router/routing@0.1.0#route-batch")
    (param i32 i32 i32 i32 i32 i64 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable)
  (func (export "personaroute:router/learning@0.1.0#adapt")
    (param i32) (result i32) unreachable))
