from dynprop.kinds.agreement.target import Agreement as Agreement
from dynprop.kinds.associative_scan.target import AssociativeScan as AssociativeScan
from dynprop.kinds.initializer.target import Initializer as Initializer
from dynprop.kinds.layer.target import Layer as Layer
from dynprop.kinds.power.closed_form.target import ClosedForm as ClosedForm
from dynprop.kinds.power.unroll.target import Unroll as Unroll
from dynprop.kinds.product.target import Product as Product
from dynprop.kinds.scan.target import Scan as Scan
