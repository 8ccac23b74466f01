from .journal import Ended as Ended, Journal as Journal, content_key as content_key
from .plan import BatchPlan as BatchPlan, Execution as Execution, read_plan as read_plan, shipped as shipped
from .run import Agenda as Agenda, agenda as agenda, check_place as check_place, run as run, summary as summary
