// Package interop lets real daemons talk to ntptsd: chronyd 4.3 and 4.6.1, NTPsec 1.2.2, classic ntpd 4.2.8p15 and ntpd-rs
// 1.4.0, as clients, as time servers that open our cookies, and as those that keep the clock next door. Each case has a
// network of its own, made of network namespaces, and nothing in it may set the clock. It needs root, and
// NTPTSD_INTEROP=1 to say that this is wanted; package peers brings the daemons. What our own parts do among themselves is
// tested beside them. The run ends with a table: what each daemon was to ntptsd, what happened meanwhile, and how it went.
package interop
