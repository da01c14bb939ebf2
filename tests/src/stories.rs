//! What happens to hosts, told on machines. A story asserts what it is about; what must hold after every story is
//! asserted by the machine.

mod everything;
mod journal;
mod kernel;
mod logs;
mod nginx;
mod package;
mod privileges;
mod remediation;
mod rsyslog;
mod rules;
mod units;
mod visibility;
